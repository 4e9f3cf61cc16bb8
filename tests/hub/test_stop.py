"""Stopping is graceful, starting again goes on, and nothing is left behind."""

import pytest

from tests.hub.harness import Hub, alive, manual_text
from tests.hub.test_faults import CONFIG, assert_story_is_whole, start

pytestmark = pytest.mark.hub


def test_a_job_that_runs_when_the_hub_stops_goes_on_when_it_starts_again():
    hub = Hub(TRAINHUB_CHECKPOINT_SECONDS="300")  # only the stop itself saves a checkpoint
    try:
        hub.start()
        dataset = hub.dataset("texts", "text", manual_text())
        job = start(hub, dataset, "interrupted")
        hub.wait_step(job, 100)
        tree = hub.processes()
        hub.process.terminate()
        hub.process.wait(60)
        assert not [process for process in tree if alive(process)]
        hub.start()
        done = hub.wait_job(job)
        kinds = [kind for (kind,) in hub.sql("SELECT kind FROM jobs_jobevent WHERE job_id = %s ORDER BY sequence", job)]
        assert kinds == ["created", "started", "interrupted", "started", "completed"]
        first_step = hub.sql("SELECT first_step FROM jobs_attempt WHERE job_id = %s AND number = 2", job)[0][0]
        assert 100 <= first_step < CONFIG["steps"]  # no step was lost
        assert done["attempt"] == 2
        assert_story_is_whole(hub, job)
    finally:
        hub.stop()

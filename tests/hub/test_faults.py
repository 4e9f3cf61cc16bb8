"""Whatever dies, the job goes on or is taken up again, once, and ends with the weights of an undisturbed run."""

import os
import signal
import time

import pytest

from common.embedded_postgres import EmbeddedPostgres
from tests.hub.harness import manual_text

pytestmark = pytest.mark.hub

CONFIG = {
    "layers": 2, "heads": 2, "width": 64, "block_size": 32, "batch_size": 8, "steps": 600,
    "evaluate_every": 200, "evaluation_batches": 5, "sample_every": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(hub):
    return hub.dataset("fault texts", "text", manual_text())


@pytest.fixture(scope="module")
def undisturbed(hub, dataset):
    """The weights of a run that nobody disturbs."""
    job = start(hub, dataset, "undisturbed")
    return weights(hub, hub.wait_job(job)["id"])


def start(hub, dataset, name):
    body = {"recipe": "text-generation", "dataset": dataset["id"], "name": name, "config": CONFIG, "seed": 7}
    return hub.post("/training/jobs", body)["id"]


def weights(hub, job):
    rows = hub.sql(
        "SELECT v.artifact FROM registry_modelversion v JOIN jobs_job j ON j.model_version_id = v.id WHERE j.id = %s",
        job,
    )
    return next(file["sha256"] for file in rows[0][0] if file["name"] == "model.safetensors")


def kill_supervisor(hub, job):
    os.kill(hub.attempt(job)["supervisor_pid"], signal.SIGKILL)


def kill_node(hub, job):
    node = next(p for p in hub.processes() if p.cmdline()[-1:] == ["node"] and p.ppid() == hub.process.pid)
    node.kill()


def restart_database(hub, job):
    EmbeddedPostgres(hub.home).stop("immediate")


FAULTS = [kill_supervisor, kill_node, restart_database]  # the short campaign (tests/faults) has these and others


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_job_survives(hub, dataset, undisturbed, fault):
    job = start(hub, dataset, fault.__name__)
    hub.wait_step(job, 150)
    before = hub.attempt(job)
    struck = time.monotonic()
    fault(hub, job)

    def truthful():
        """Taken up by another attempt, or still going on under the same one."""
        now = hub.job(job)
        if now["status"] == "completed":
            return True
        attempt = hub.attempt(job)
        fresh = attempt and attempt["trainer_pid"] != before["trainer_pid"]
        return now["status"] == "running" and (fresh or now["current_step"] > 300)

    hub.until(truthful, 30, "the page to tell the truth")
    print(f"\n{fault.__name__}: true again after {time.monotonic() - struck:.2f} s")
    done = hub.wait_job(job, seconds=90)
    assert done["current_step"] == CONFIG["steps"]
    assert weights(hub, job) == undisturbed
    assert_story_is_whole(hub, job)


def assert_story_is_whole(hub, job):
    """No event, attempt or progress row is doubled or missing; nothing is left open."""
    events = hub.sql(
        "SELECT sequence, from_status, to_status FROM jobs_jobevent WHERE job_id = %s ORDER BY sequence", job
    )
    assert [sequence for sequence, *_ in events] == list(range(1, len(events) + 1))
    state = ""
    for _, came_from, went_to in events:
        if went_to:
            assert came_from == state
            state = went_to
    assert state == "completed"
    attempts = hub.sql("SELECT number, ended_at FROM jobs_attempt WHERE job_id = %s ORDER BY number", job)
    assert [number for number, _ in attempts] == list(range(1, len(attempts) + 1))
    assert all(ended for _, ended in attempts)
    steps = hub.sql(
        "SELECT step FROM jobs_progressrow r JOIN jobs_metricseries s ON s.id = r.series_id "
        "WHERE s.job_id = %s AND s.name = 'train/loss' ORDER BY step",
        job,
    )
    assert [step for (step,) in steps] == list(range(1, CONFIG["steps"] + 1))
    # Right after the end is written; a machine under load may take a moment to come to that.
    hub.until(lambda: not (hub.home / "jobs" / str(job)).exists(), 5, "its folder to be gone")
    sessions = hub.sql("SELECT count(*) FROM history_session WHERE job_id = %s", job)
    hub.until(
        lambda: hub.sql("SELECT count(*) FROM history_session WHERE job_id = %s", job) == [(1,)], 20, "the history"
    )
    assert sessions[0][0] <= 1


def test_pausing_and_resuming_ends_with_the_same_weights(hub, dataset, undisturbed):
    job = start(hub, dataset, "paused")
    hub.wait_step(job, 100)
    hub.post(f"/training/jobs/{job}/pause")
    paused = hub.wait_job(job, "paused")
    assert 100 <= paused["current_step"] < CONFIG["steps"]
    assert hub.attempt(job) == {}
    hub.post(f"/training/jobs/{job}/resume")
    hub.wait_job(job)
    assert weights(hub, job) == undisturbed
    assert_story_is_whole(hub, job)


def test_cancelling_leaves_no_process_and_no_file(hub, dataset):
    job = start(hub, dataset, "cancelled")
    hub.wait_step(job, 50)
    trainer = hub.attempt(job)["trainer_pid"]
    assert hub.post(f"/training/jobs/{job}/cancel")["success"] is True
    hub.wait_job(job, "cancelled", seconds=15)
    hub.until(lambda: not os.path.exists(f"/proc/{trainer}"), 5, "the trainer to be gone")
    hub.until(lambda: not (hub.home / "jobs" / str(job)).exists(), 5, "its folder to be gone")

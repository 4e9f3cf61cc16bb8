"""Whatever keeps the history from being written, and however often it is tried: runs end, and are in it once."""

from __future__ import annotations

import signal

import psutil
import pytest

from common.embedded_postgres import EmbeddedPostgres
from history.daily import LOCK
from tests.chat_server import serving
from tests.history.sums import days_are_right
from tests.hub.harness import Hub

pytestmark = pytest.mark.hub
ROLE = "plain"


@pytest.fixture(scope="module")
def hub():
    """Its processes are a role that owns nothing: rights can be taken from it, as an administrator may by mistake."""
    made = Hub(TRAINHUB_ALLOW_INTERNAL_ENDPOINTS="127.0.0.1")
    try:
        with EmbeddedPostgres(made.home) as server:
            made.sql(f"CREATE ROLE {ROLE} LOGIN")
            made.sql(f"GRANT ALL ON SCHEMA public TO {ROLE}")
            made.sql(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
            made.sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}")
            made.environment["DATABASE_URL"] = server.url.replace("user=trainhub", f"user={ROLE}")
            yield made.start()
            made.process.send_signal(signal.SIGINT)
            made.process.wait(60)
    finally:
        made.stop()


@pytest.fixture(scope="module")
def writer(hub):
    with serving(lambda body: f"The keeper of the lighthouse counted ships and wrote {hash(str(body))} names.") as one:
        hub.post("/training/endpoints", {"name": "writer", "url": one.url, "model": "m"})
        yield one


def simulate(hub, name):
    config = {"steps": 3, "step_seconds": 0.01}
    return hub.post("/training/jobs", {"recipe": "simulate", "name": name, "config": config})["id"]


def generate(hub, name, dataset):
    config = {"generators": "endpoint writer", "genres": "Sea\nLand", "prompts": "Story {number}:", "examples": 6,
              "shortest": 5, "minimum_quality": 1}  # fmt: skip
    body = {"recipe": "generate", "name": name, "config": config, "save_to": dataset}
    return hub.post("/training/jobs", body)["id"]


def sessions(hub, *jobs):
    """How many sessions each of these jobs has."""
    found = dict(hub.sql("SELECT job_id, count(*) FROM history_session GROUP BY 1"))
    return [found.get(job, 0) for job in jobs]


def waiting(hub):
    return hub.sql("SELECT count(*) FROM jobs_outboxmessage WHERE processed_at IS NULL")[0][0]


def background(hub):
    return [process for process in hub.processes() if process.name().startswith("q:background")]


def kill(processes):
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=10)


def records_stand(hub):
    """The outbox is empty, each run that came to start has one session, and the days add up."""
    ended = hub.sql(
        "SELECT count(*) FROM jobs_outboxmessage o WHERE topic = 'run_ended' AND EXISTS "
        "(SELECT FROM jobs_attempt a WHERE a.job_id = o.job_id)"
    )
    assert waiting(hub) == 0
    assert hub.sql("SELECT count(*), count(DISTINCT job_id) FROM history_session") == [ended[0] * 2]
    days_are_right(hub.sql)


def test_runs_go_on_while_the_history_can_t_be_written_and_are_in_it_afterwards(hub, writer):
    stories = hub.post("/datasets", {"name": "Stories", "modality": "text"})["id"]
    hub.sql(f"REVOKE SELECT, INSERT ON history_session FROM {ROLE}")
    jobs = [simulate(hub, "unrecorded"), generate(hub, "unrecorded tales", stories)]
    for job in jobs:
        assert hub.wait_job(job)["status"] == "completed"
    told = "SELECT count(*) FROM jobs_outboxmessage WHERE failures > 0 AND last_error ~ 'permission denied'"
    hub.until(lambda: hub.sql(told) == [(2,)], 60, "the failures to be noted")
    assert sessions(hub, *jobs) == [0, 0] and waiting(hub) == 2

    hub.sql(f"GRANT SELECT, INSERT ON history_session TO {ROLE}")
    jobs.append(simulate(hub, "recorded at once"))  # its end wakes the recording; the sweep would in its time
    hub.wait_job(jobs[-1])
    hub.until(lambda: sessions(hub, *jobs) == [1, 1, 1], 60, "all of them in the history")
    hub.until(lambda: waiting(hub) == 0, 10, "the outbox to be empty")
    [(number,)] = hub.sql("SELECT session_id FROM history_session WHERE job_id = %s", jobs[1])
    late = hub.get(f"/training-history/session/{number}")
    examples = hub.sql("SELECT count(*) FROM jobs_generatedexample WHERE job_id = %s AND kept", jobs[1])[0][0]
    items = hub.sql("SELECT count(*) FROM datasets_item WHERE dataset_id = %s", stories)[0][0]
    assert (late["examples_successful"], late["saved_count"], late["examples_after"]) == (examples, items, items)
    assert late["completed_at"] < late["created_at"], "it ended when it ended, not when that was written"
    records_stand(hub)


def test_told_again_it_is_the_same_session(hub, writer):
    job = simulate(hub, "told again")
    hub.wait_job(job)
    hub.until(lambda: sessions(hub, job) == [1] and waiting(hub) == 0, 60, "the history")
    before = (
        hub.sql("SELECT * FROM history_session ORDER BY id"),
        hub.sql("SELECT * FROM history_sessionday ORDER BY id"),
    )
    hub.sql("UPDATE jobs_outboxmessage SET processed_at = NULL, created_at = now() - interval '1 minute'")
    hub.until(lambda: waiting(hub) == 0, 60, "all to be told again")
    after = (
        hub.sql("SELECT * FROM history_session ORDER BY id"),
        hub.sql("SELECT * FROM history_sessionday ORDER BY id"),
    )
    assert after == before
    records_stand(hub)


def test_who_dies_between_the_end_of_a_run_and_its_record_is_followed_by_another(hub, writer):
    frozen = background(hub)
    for process in frozen:
        process.send_signal(signal.SIGSTOP)
    job = simulate(hub, "nobody is there")
    hub.wait_job(job)
    assert sessions(hub, job) == [0] and waiting(hub) == 1
    kill(frozen)
    hub.until(lambda: sessions(hub, job) == [1], 60, "the history")
    hub.until(lambda: waiting(hub) == 0, 10, "the outbox to be empty")
    records_stand(hub)


def test_who_dies_while_recording_leaves_nothing_half(hub, writer):
    """The session is written, its day is not yet: there the worker waits for a lock, and is killed."""
    import psycopg

    stories = hub.post("/datasets", {"name": "More stories", "modality": "text"})["id"]
    with psycopg.connect(EmbeddedPostgres(hub.home).url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        job = generate(hub, "killed in the middle", stories)
        hub.wait_job(job)
        stuck = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
        hub.until(lambda: hub.sql(stuck, LOCK) != [(0,)], 60, "the recording to wait in its middle")
        kill(background(hub))
        assert sessions(hub, job) == [0]
        assert hub.sql("SELECT count(*) FROM datasets_item WHERE dataset_id = %s", stories) == [(0,)]
    hub.until(lambda: sessions(hub, job) == [1], 60, "the history")
    hub.until(lambda: waiting(hub) == 0, 10, "the outbox to be empty")
    kept = hub.sql("SELECT count(*) FROM jobs_generatedexample WHERE job_id = %s AND kept", job)
    assert hub.sql("SELECT count(*) FROM datasets_item WHERE dataset_id = %s", stories) == kept
    records_stand(hub)

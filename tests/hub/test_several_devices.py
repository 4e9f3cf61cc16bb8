"""A job of two devices: both slots or none, one run under torchrun, and exact whatever happens to one process."""

import os
import signal

import psutil
import pytest

from tests.hub.harness import Hub, manual_text
from tests.hub.test_faults import assert_story_is_whole, weights

pytestmark = pytest.mark.hub

CONFIG = {
    "layers": 1, "heads": 2, "width": 32, "block_size": 32, "batch_size": 8, "steps": 600,
    "evaluate_every": 300, "evaluation_batches": 2, "sample_every": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def hub():
    hub = Hub(TRAINHUB_SLOTS="2", TRAINHUB_CHECKPOINT_SECONDS="1")
    try:
        yield hub.start()
    finally:
        hub.stop()


@pytest.fixture(scope="module")
def dataset(hub):
    return hub.dataset("two devices", "text", manual_text())


@pytest.fixture(scope="module")
def undisturbed(hub, dataset):
    return weights(hub, hub.wait_job(start(hub, dataset, "undisturbed"))["id"])


def start(hub, dataset, name):
    body = {"recipe": "text-generation", "dataset": dataset["id"], "name": name, "config": CONFIG, "seed": 3}
    return hub.post("/training/jobs", body | {"resources": {"devices": 2}})["id"]


def held(hub, job):
    query = "SELECT count(*) FROM jobs_slot s JOIN jobs_attempt a ON a.id = s.held_by_id WHERE a.job_id = %s"
    return hub.sql(query, job)[0][0]


def family(hub, job):
    """The launcher of a run and its ranks."""
    launcher = psutil.Process(hub.attempt(job)["trainer_pid"])
    return launcher, [child for child in launcher.children(recursive=True) if "engine" in " ".join(child.cmdline())]


def test_it_takes_both_slots_and_trains(hub, undisturbed):
    (devices,) = hub.sql("SELECT devices FROM jobs_attempt ORDER BY id LIMIT 1")[0]
    assert devices == ["cpu", "cpu"]
    assert len(undisturbed) == 64


def strike(hub, job, victim):
    """Kill one of a run's processes, and wait until all of them are gone."""
    launcher, ranks = family(hub, job)
    assert len(ranks) >= 2
    pids = {"rank": ranks[-1].pid, "launcher": launcher.pid, "supervisor": hub.attempt(job)["supervisor_pid"]}
    before = hub.attempt(job)["number"]
    os.kill(pids[victim], signal.SIGKILL)
    assert not psutil.wait_procs([launcher, *ranks], timeout=10)[1]
    hub.until(lambda: hub.attempt(job).get("number", 0) > before, 15, "the next attempt")


def test_deaths_and_a_pause_cost_nothing(hub, dataset, undisturbed):
    job = start(hub, dataset, "struck")
    for victim, step in (("rank", 60), ("launcher", 160), ("supervisor", 260)):
        hub.wait_step(job, step)
        hub.until(lambda: hub.job(job)["phase"] == "training", 30, "the run to go on")
        assert held(hub, job) == 2
        strike(hub, job, victim)
    hub.wait_step(job, 360)
    hub.post(f"/training/jobs/{job}/pause")
    hub.wait_job(job, "paused")
    assert held(hub, job) == 0
    hub.post(f"/training/jobs/{job}/resume")
    hub.wait_job(job)
    assert weights(hub, job) == undisturbed
    assert_story_is_whole(hub, job)
    assert held(hub, job) == 0


def test_cancelling_ends_every_process(hub, dataset):
    job = start(hub, dataset, "cancelled")
    hub.wait_step(job, 20)
    launcher, ranks = family(hub, job)
    hub.post(f"/training/jobs/{job}/cancel")
    hub.wait_job(job, "cancelled", seconds=15)
    assert not psutil.wait_procs([launcher, *ranks], timeout=5)[1]
    assert held(hub, job) == 0


def test_a_job_that_asks_for_more_than_there_is_says_so(hub, dataset):
    job = hub.post("/training/jobs", {"recipe": "simulate", "resources": {"devices": 3}})["id"]
    assert hub.job(job)["waiting_for"] == "Needs 3 devices: no node that is running has that."
    hub.post(f"/training/jobs/{job}/cancel")

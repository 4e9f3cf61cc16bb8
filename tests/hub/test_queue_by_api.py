"""A real hub is steered by API and by command: a checkpoint on request, order, a machine that takes nothing, limits."""

import json

import pytest

pytestmark = pytest.mark.hub


def simulate(hub, name, steps=3, **wanted):
    config = {"steps": steps, "step_seconds": 0.05}
    return hub.post("/training/jobs", {"recipe": "simulate", "name": name, "config": config, **wanted})["id"]


@pytest.fixture
def drained(hub):
    """The name of the hub's machine, which takes nothing until the end of the test."""
    (node,) = [row for row in hub.get("/training/nodes")["results"] if row["is_up"]]
    assert hub.post(f"/training/nodes/{node['name']}/drain")["takes_jobs"] is False
    yield node["name"]
    hub.post(f"/training/nodes/{node['name']}/resume")


def test_a_running_job_saves_a_checkpoint_on_request_and_goes_on(hub):
    job = simulate(hub, "saves", steps=2000)
    step = hub.wait_step(job, 5)["current_step"]
    assert hub.post(f"/training/jobs/{job}/checkpoint")["job"]["status"] == "running"
    hub.until(lambda: hub.job(job)["request"] == "", 20, "the request to be carried out")
    hub.wait_step(job, step + 20)
    told = hub.job(job)
    assert (told["status"], told["devices"]) == ("running", ["cpu"])
    assert hub.get(f"/training/nodes/{told['node']}")["slots"][0]["job"] == job
    assert hub.post("/training/queue", {"action": "cancel", "ids": [job]})["done"] == [job]
    hub.wait_job(job, "cancelled")
    (attempt,) = hub.get(f"/training/jobs/{job}/attempts")["results"]
    assert (attempt["outcome"], attempt["node"]) == ("cancelled", told["node"])


def test_jobs_run_in_the_order_that_was_asked_for(hub, drained):
    a, b, c = (simulate(hub, name) for name in "abc")
    assert "being drained" in hub.job(a)["waiting_for"]
    hub.manage("jobs", "top", str(c))
    hub.post("/training/queue", {"action": "priority", "ids": [b], "value": "high"})
    assert [row["id"] for row in hub.get("/training/queue")["results"]] == [b, c, a]
    listed = json.loads(hub.manage("jobs", "list", "--json"))
    assert [row["id"] for row in listed] == [b, c, a]
    hub.manage("nodes", "resume", drained)
    for job in (a, b, c):
        hub.wait_job(job)
    started = hub.sql("SELECT job_id FROM jobs_attempt WHERE job_id = ANY(%s) ORDER BY started_at", [a, b, c])
    assert [job for (job,) in started] == [b, c, a]


def test_a_job_after_another_one_starts_when_that_has_completed(hub):
    first = simulate(hub, "first", steps=20)
    second = simulate(hub, "second", after=[first])
    assert hub.job(second)["waiting_for"] == f"Starts after job {first} 'first'."
    hub.wait_job(second)
    assert hub.job(first)["status"] == "completed"

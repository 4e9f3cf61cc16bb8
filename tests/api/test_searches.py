"""Searches through the API."""

from jobs.models import Search, Trial
from jobs.search import running
from tests.world import make_job

BODY = {"recipe": "simulate", "space": {"steps": {"low": 5, "high": 50}}, "trials": 4, "at_once": 2, "name": "Bowl"}


def test_a_search_is_begun_looked_at_extended_and_ended(alice):
    answer = alice.post_json("training/searches", BODY)
    assert answer.status_code == 201, answer.content
    row = answer.json()
    assert (row["status"], row["wanted"], row["metric"], row["higher_is_better"]) == (
        "running", 4, "validation/loss", False,
    )  # fmt: skip
    assert row["space"] == {"steps": {"low": 5, "high": 50, "log": False, "whole": True}}
    running.advance(row["id"])
    address = f"training/searches/{row['id']}"
    assert alice.get(address).json()["trials"] == {"running": 2, "completed": 0, "pruned": 0, "failed": 0}
    trials = alice.get(f"{address}/trials").json()["results"]
    assert [trial["number"] for trial in trials] == [1, 2] and trials[0]["job_status"] == "queued"
    assert alice.post_json(f"{address}/more", {"trials": 3}).json()["wanted"] == 7
    faster = alice.post_json(f"{address}/more", {"trials": 1, "at_once": 5}).json()
    assert (faster["wanted"], faster["at_once"]) == (8, 5)
    assert "at_once" in alice.post_json(f"{address}/more", {"trials": 1, "at_once": 65}).json()["errors"]
    assert alice.get("training/searches").json()["count"] == 1
    ended = alice.post_json(f"{address}/cancel").json()
    assert ended["status"] == "cancelled" and ended["ended_at"]
    refused = alice.post_json(f"{address}/promote")
    assert refused.status_code == 409 and "No trial" in refused.json()["detail"]


def test_the_best_trial_is_told(alice, owner):
    row = alice.post_json("training/searches", BODY).json()
    job = make_job(owner)
    trial = Trial.objects.create(
        search_id=row["id"], number=1, params={"steps": 9}, value=0.5, state="completed", job=job
    )
    Search.objects.filter(pk=row["id"]).update(best=trial)
    best = alice.get(f"training/searches/{row['id']}").json()["best"]
    assert best == {"number": 1, "value": 0.5, "params": {"steps": 9}, "job": job.pk}


def test_wrong_bodies_are_told_field_by_field(alice):
    for change, field in (
        ({"space": {"stps": {"low": 1, "high": 2}}}, "space.stps"),
        ({"space": {}}, "space"),
        ({"space": "steps"}, "space"),
        ({"trials": 0}, "trials"),
        ({"at_once": 1000}, "at_once"),
        ({"recipe": "magic"}, "recipe"),
        ({"metric": "validation/accuracy"}, "higher_is_better"),
        ({"higher_is_better": True}, "higher_is_better"),
        ({"sampler": "guess"}, "sampler"),
        ({"config": {"steps": -1}}, "config.steps"),
        ({"trails": 3}, "trails"),
    ):
        answer = alice.post_json("training/searches", BODY | change)
        assert answer.status_code in (400, 422), (change, answer.content)
        assert field in answer.json()["errors"], (change, answer.json())
    assert not Search.objects.exists()

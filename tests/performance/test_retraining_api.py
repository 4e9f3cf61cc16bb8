"""Training models again on the API: who may, what is answered, and who sees nothing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from performance.models import Retraining
from performance.retraining import policies
from tests.api.conftest import Api
from tests.performance.retrained import make_line
from tests.registry.test_access import with_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(owner):
    return make_line(owner)


@pytest.fixture
def alice(owner):
    return Api(owner)


def test_a_training_is_started_watched_and_found_in_the_list(alice, model):
    made = alice.post_json("performance/retrain/trigger", {"model": model.pk, "reason": "Drift."})
    assert made.status_code == 201, made.content
    row = made.json()
    assert (row["status"], row["kind"], row["reason"], row["asked_by"]) == ("queued", "manual", "Drift.", "alice")
    assert alice.get(f"training/jobs/{row['job']}").json()["name"] == f"Retraining {row['id']}: Turbines"
    story = alice.get(f"performance/retrainings/{row['id']}").json()
    assert [event["kind"] for event in story["events"]] == ["triggered", "job_made"]
    for query, count in ((f"?model={model.pk}", 1), ("?status=queued", 1), ("?status=failed", 0), ("", 1)):
        assert alice.get(f"performance/retrainings{query}").json()["count"] == count, query
    for query in ("?state=queued", "?status=odd"):
        assert alice.get(f"performance/retrainings{query}").status_code == 400
    second = alice.post_json("performance/retrain/trigger", {"model": model.pk})
    assert (second.status_code, second.json()["retraining"], second.json()["job"]) == (409, row["id"], row["job"])
    lineage = alice.get(f"training/jobs/{row['job']}/lineage").json()
    assert lineage["comes_from"][0]["kind"] == "retraining" and lineage["comes_from"][0]["id"] == row["id"]


def test_the_same_key_starts_one(alice, model):
    answers = [
        alice.post_json("performance/retrain/trigger", {"model": model.pk}, headers={"Idempotency-Key": "one"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_strangers_find_nothing_and_who_only_sees_is_told_who_may(model, owner, stranger):
    made = Api(owner).post_json("performance/retrain/trigger", {"model": model.pk}).json()
    mallory, analyst = Api(stranger), Api(with_role("ann", "Analysts"))
    reading = [f"performance/retrainings/{made['id']}", f"models/{model.pk}/retraining-policy"]
    writing = [("performance/retrain/trigger", {"model": model.pk}),
               (f"performance/retrainings/{made['id']}/approve", {}),
               (f"performance/retrainings/{made['id']}/decline", {"reason": "No."})]  # fmt: skip
    for path in reading:
        assert (mallory.get(path).status_code, analyst.get(path).status_code) == (404, 200), path
    for path, body in writing:
        assert (mallory.post_json(path, body).status_code, analyst.post_json(path, body).status_code) == (404, 403)
    change = {"enabled": True}
    assert mallory.send("PUT", reading[1], change).status_code == 404
    refused = analyst.send("PUT", reading[1], change)
    assert refused.status_code == 403 and "Release managers" in refused.json()["hint"]
    assert mallory.get("performance/retrainings").json()["count"] == 0
    assert mallory.get(f"performance/retrainings?model={model.pk}").status_code == 404


def test_a_policy_is_read_changed_and_explained(alice, model):
    path = f"models/{model.pk}/retraining-policy"
    before = alice.get(path).json()
    assert (before["stored"], before["values"]["enabled"], before["why_not_now"]) == (False, False, "")
    wanted = {"enabled": True, "rule": {"kind": "daily", "at": "02:30"}, "zone": "Europe/Berlin", "new_items": 100}
    now = alice.send("PUT", path, wanted).json()
    assert now["stored"] and "every day at 02:30, Europe/Berlin" in now["in_words"] and now["next_at"]
    bad = alice.send("PUT", path, {"window": "days"})
    assert bad.status_code == 400 and "window_count" in bad.json()["errors"], bad.content
    assert alice.send("PUT", path, {"cooldown": 3}).status_code == 400
    assert alice.send("PUT", path, {"approvals_start": 0}).status_code == 403


def test_approved_by_somebody_else_it_starts_and_declined_it_ends(owner, model):
    policies.change(model, owner, approvals_start=1, cooldown_hours=0)
    alice, bob = Api(owner), Api(with_role("bob", "Approvers"))
    key = alice.post_json("performance/retrain/trigger", {"model": model.pk}).json()["id"]
    assert alice.post_json(f"performance/retrainings/{key}/approve").status_code == 403
    assert bob.post_json(f"performance/retrainings/{key}/decline").status_code == 400
    approved = bob.post_json(f"performance/retrainings/{key}/approve", {"reason": "Fine."}).json()
    assert (approved["status"], approved["approved_by"]) == ("queued", "bob") and approved["job"]
    assert bob.post_json(f"performance/retrainings/{key}/approve").status_code == 409
    Retraining.objects.update(status="failed", ended_at=timezone.now())
    approved_job = Retraining.objects.get().job
    type(approved_job).objects.filter(pk=approved_job.pk).update(status="cancelled", completed_at=timezone.now())
    other = alice.post_json("performance/retrain/trigger", {"model": model.pk}).json()["id"]
    declined = bob.post_json(f"performance/retrainings/{other}/decline", {"reason": "Too soon"}).json()
    assert (declined["status"], declined["message"]) == ("refused", "Declined by bob: Too soon.")

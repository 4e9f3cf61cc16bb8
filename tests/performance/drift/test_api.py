"""Drift at the API: asked for, read, monitored; strangers find nothing, and who sees a model may not read its data."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group

from performance.drift import api, streams, verbs
from performance.models import DriftCheck, DriftMonitor
from registry.access import make_roles
from tests.api.conftest import Api
from tests.performance.drift.made import log, sensor, tell
from tests.world import make_drift


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def approver(django_user_model):
    """Sees all models, and may read no predictions."""
    make_roles()
    user = django_user_model.objects.create_user("carol")
    user.groups.add(Group.objects.get(name="Approvers"))
    return user


def test_a_check_is_asked_for_followed_and_listed(alice, trained, monkeypatch):
    log(trained, sensor(2, 400, shift=3.0))
    asked = {"model": trained.model_id, "about": "inputs", "recent": 300}
    answer = alice.post_json("performance/drift/check", asked)
    made = answer.json()
    assert (answer.status_code, made["status"], made["moved"], made["by"]) == (202, "queued", None, "alice")
    assert alice.post_json("performance/drift/check", asked).json()["id"] == made["id"]  # a double click
    verbs.run(made["id"])
    found = alice.get(f"performance/drift/checks/{made['id']}").json()
    assert found["moved"] is True and found["recent_count"] == 300 and found["findings"][0]["column"] == "temperature"
    assert found["dataset_version"] == trained.dataset_version_id and "'temperature'" in found["message"]
    (row,) = alice.get(f"performance/drift/checks?model={trained.model_id}&moved=true").json()["results"]
    assert row["id"] == made["id"] and "findings" not in row
    assert alice.get("performance/drift/checks?moved=false").json()["count"] == 0


def test_who_waits_gets_the_verdict(alice, trained, monkeypatch):
    log(trained, sensor(2, 100))
    monkeypatch.setattr(api.time, "sleep", lambda seconds: verbs.run(DriftCheck.objects.get().pk))
    answer = alice.post_json("performance/drift/check", {"model": trained.model_id, "about": "inputs", "wait": True})
    assert (answer.status_code, answer.json()["moved"]) == (200, False)


def test_who_waits_for_long_is_told_to_come_again(alice, trained, monkeypatch):
    monkeypatch.setattr(api, "WAIT_SECONDS", 0.05)
    answer = alice.post_json("performance/drift/check", {"model": trained.model_id, "about": "inputs", "wait": True})
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"about": "weather"}, "about"), ({"recent": 0}, "recent"), ({"recent": 20_001}, "recent"),
        ({"reference": "training", "about": "errors"}, "reference"), ({"when": 1}, "when"),
        ({"reference_from": "2026-01-01T00:00:00Z"}, "reference_until"),
        ({"reference_from": "2026-01-02T00:00:00Z", "reference_until": "2026-01-01T00:00:00Z"}, "reference_until"),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(alice, trained, more, field):
    answer = alice.post_json("performance/drift/check", {"model": trained.model_id, "about": "inputs", **more})
    assert answer.status_code == 400 and field in answer.json()["errors"]


def test_a_monitor_is_set_read_and_turned_off(alice, trained):
    address = f"models/{trained.model_id}/drift-monitor"
    before = alice.get(address).json()
    assert (before["enabled"], before["every_hours"], DriftMonitor.objects.count()) == (False, 24, 0)
    set_ = alice.send("PUT", address, {"every_hours": 6, "about": ["errors", "inputs"]}).json()
    assert (set_["enabled"], set_["every_hours"], set_["about"]) == (True, 6, ["inputs", "errors"])
    assert alice.send("PUT", address, {"enabled": False}).json()["every_hours"] == 6
    wrong = alice.send("PUT", address, {"alpha": 3})
    assert wrong.status_code == 400 and "alpha" in wrong.json()["errors"]


def test_a_monitor_says_how_far_outcomes_were_followed(alice, trained):
    address = f"models/{trained.model_id}/drift-monitor"
    alice.send("PUT", address, {"about": ["errors"]})
    assert alice.get(address).json()["followed"] == []
    rows = log(trained, [{}] * 41, ago=timedelta(minutes=1))
    tell(rows[:40], [False] * 40)
    tell(rows[40:], [True], lag=timedelta(minutes=2))  # not half a minute old yet
    streams.sweep()
    (row,) = alice.get(address).json()["followed"]
    assert (row["version"], row["about"], row["count"], row["changes"]) == (trained.pk, "errors", 40, 0)


def test_a_stranger_finds_nothing_and_who_sees_the_model_may_not_read_its_data(trained, stranger, approver):
    check = make_drift(trained, "secret column")
    mallory, carol = Api(stranger), Api(approver)
    body = {"model": trained.model_id, "about": "inputs"}
    for client, status in ((mallory, 404), (carol, 403)):
        assert client.get(f"performance/drift/checks/{check.pk}").status_code == status
        assert client.post_json("performance/drift/check", body).status_code == status
        assert client.send("PUT", f"models/{trained.model_id}/drift-monitor", {"window": 50}).status_code == status
        assert client.get(f"models/{trained.model_id}/drift-monitor").status_code == status
        assert client.get(f"performance/drift/checks?model={trained.model_id}").json()["count"] == 0
    assert DriftCheck.objects.count() == 1 and not DriftMonitor.objects.exists()


def test_an_analyst_reads_and_asks_and_may_not_change_the_monitor(trained, stranger):
    make_roles()
    stranger.groups.add(Group.objects.get(name="Analysts"))
    check, client = make_drift(trained, "a column"), Api(stranger)
    assert client.get(f"performance/drift/checks/{check.pk}").json()["findings"]
    assert (
        client.post_json("performance/drift/check", {"model": trained.model_id, "about": "inputs"}).status_code == 202
    )
    assert client.send("PUT", f"models/{trained.model_id}/drift-monitor", {"window": 50}).status_code == 403

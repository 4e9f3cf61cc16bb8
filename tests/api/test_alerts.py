"""Alerts, rules and channels on the API: who sees them, who may deal with them, and what is answered."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from performance.alerts import evaluating, rules
from performance.models import Alert, Channel, Delivery
from performance.recording import record
from registry.access import make_roles
from tests.api.conftest import Api
from tests.world import make_alert, make_version

RULE = {"name": "Watch", "kind": "metric", "metric": "production/accuracy", "comparison": "below", "threshold": 0.8}


@pytest.fixture
def version(owner):
    made = make_version(owner)
    record(made, "production/accuracy", 0.5)
    return made


@pytest.fixture
def alert(owner, version):
    return make_alert(owner, version)


@pytest.fixture
def analyst(django_user_model):
    """Sees everybody's models, and decides nothing."""
    make_roles()
    person = django_user_model.objects.create_user("ann", password="correct horse battery")
    person.groups.add(Group.objects.get(name="Analysts"))
    return Api(person)


def test_what_is_open_is_listed_until_it_is_put_off_or_over(alice, alert):
    found = alice.get("performance/alerts/active").json()["results"]
    assert [(row["id"], row["status"], row["may_deal"]) for row in found] == [(alert.pk, "active", True)]
    assert found[0]["evidence"]["figures"][0]["value"] == 0.5
    later = (timezone.now() + timedelta(hours=1)).isoformat()
    assert alice.post_json(f"performance/alerts/{alert.pk}/snooze", {"until": later}).status_code == 200
    assert alice.get("performance/alerts/active").json()["results"] == []
    assert alice.get("performance/alerts?status=open").json()["count"] == 1
    answer = alice.post_json(f"performance/alerts/{alert.pk}/resolve", {"note": "Retrained."})
    assert answer.json()["status"] == "resolved" and answer.json()["events"][-1]["words"] == "Retrained."
    assert alice.get("performance/alerts?status=resolved&kind=metric").json()["count"] == 1
    assert alice.get("performance/alerts?status=open").json()["count"] == 0


def test_it_is_acknowledged_with_a_note(alice, alert):
    answer = alice.post_json(f"performance/alerts/{alert.pk}/acknowledge", {"note": "Mine."}).json()
    assert (answer["status"], answer["acknowledged_by"]) == ("acknowledged", "alice")
    assert [event["kind"] for event in answer["events"]] == ["opened", "acknowledged"]


def test_what_is_over_answers_409(alice, alert):
    alice.post_json(f"performance/alerts/{alert.pk}/resolve")
    assert alice.post_json(f"performance/alerts/{alert.pk}/acknowledge").status_code == 409


@pytest.mark.parametrize(
    ("verb", "body"),
    [("snooze", {}), ("snooze", {"until": "2026-01-01T00:00:00"}), ("acknowledge", {"note": "x" * 501}),
     ("resolve", {"x": 1}), ("acknowledge", {"note": "a\x00"})],
)  # fmt: skip
def test_bad_input_is_named(alice, alert, verb, body):
    assert alice.post_json(f"performance/alerts/{alert.pk}/{verb}", body).status_code == 400


def test_an_unknown_filter_is_refused(alice):
    for query in ("state=open", "status=x", "model=a"):
        assert alice.get(f"performance/alerts?{query}").status_code == 400


def test_a_stranger_sees_none_and_deals_with_none(mallory, alert):
    assert mallory.get("performance/alerts/active").json()["results"] == []
    for verb in ("acknowledge", "resolve", "snooze"):
        assert mallory.post_json(f"performance/alerts/{alert.pk}/{verb}").status_code == 404
    alert.refresh_from_db()
    assert alert.status == "active"


def test_who_sees_a_model_sees_what_the_hub_found_of_it_and_may_not_deal_with_it(
    alice, analyst, administrator, version
):
    rule = rules.make(None, administrator, **RULE)
    evaluating.evaluate(rule)
    alert = Alert.objects.get()
    assert analyst.get(f"performance/alerts/{alert.pk}").json()["may_deal"] is False
    for verb, body in (("acknowledge", {}), ("resolve", {}), ("snooze", {"until": "2030-01-01T00:00:00Z"})):
        answer = analyst.post_json(f"performance/alerts/{alert.pk}/{verb}", body)
        assert answer.status_code == 403 and "release managers" in answer.json()["hint"]
    assert alice.post_json(f"performance/alerts/{alert.pk}/acknowledge").status_code == 200, "it is the model's owner"
    assert alice.get(f"performance/alert-rules/{rule.pk}").status_code == 404, "rules of the hub are administrators'"


def test_an_analyst_sees_nothing_of_the_rules_of_others(analyst, alert):
    assert analyst.get("performance/alerts/active").json()["results"] == []
    assert analyst.get(f"performance/alerts/{alert.pk}").status_code == 404


def test_a_rule_is_made_read_changed_and_deleted(alice, version):
    made = alice.post_json("performance/alert-rules", {**RULE, "model": version.model_id})
    assert made.status_code == 201 and "falls below 0.8" in made.json()["words"]
    address = f"performance/alert-rules/{made.json()['id']}"
    assert alice.get("performance/alert-rules").json()["count"] == 1
    assert alice.send("PATCH", address, {"threshold": 0.4, "enabled": False}).json()["threshold"] == 0.4
    assert alice.send("PATCH", address, {"kind": "disk"}).status_code == 400
    assert alice.delete(address).status_code == 204 and alice.get(address).status_code == 404


def test_a_rule_points_at_nothing_of_others(mallory, owner, version):
    assert mallory.post_json("performance/alert-rules", {**RULE, "model": version.model_id}).status_code == 404
    hook = Channel.objects.create(owner=owner, name="x", kind="mail")
    answer = mallory.post_json("performance/alert-rules", {**RULE, "channels": [hook.pk]})
    assert answer.status_code == 400 and "channels" in answer.json()["errors"]


def test_machines_and_the_hub_are_watched_by_administrators(alice, staff):
    disk = {"name": "Disk", "kind": "disk"}
    assert alice.post_json("performance/alert-rules", disk).status_code == 403
    assert alice.post_json("performance/alert-rules", {**RULE, "of_hub": True}).status_code == 403
    assert staff.post_json("performance/alert-rules", {**disk, "of_hub": True}).json()["owner"] is None


def test_a_channel_shows_its_secret_once(alice):
    given = {"name": "Hook", "kind": "webhook", "address": "https://93.184.216.34/hook"}
    made = alice.post_json("performance/channels", given).json()
    assert len(made["secret"]) >= 32
    address = f"performance/channels/{made['id']}"
    assert "secret" not in alice.get(address).json() and made["secret"] not in alice.get(address).content.decode()
    assert alice.send("PATCH", address, {"enabled": False}).json()["enabled"] is False
    assert alice.post_json(f"{address}/test").status_code == 409
    alice.send("PATCH", address, {"enabled": True})
    tried = alice.post_json(f"{address}/test")
    assert tried.status_code == 202 and tried.json()["event"] == "test"
    sent = alice.get(f"{address}/deliveries").json()["results"]
    assert [row["id"] for row in sent] == [tried.json()["id"]]
    assert alice.post_json(f"performance/deliveries/{sent[0]['id']}/redeliver").status_code == 409
    Delivery.objects.update(next_at=None, dead_at=timezone.now())
    assert alice.post_json(f"performance/deliveries/{sent[0]['id']}/redeliver").status_code == 202
    assert alice.delete(address).status_code == 204 and not Delivery.objects.exists()


def test_a_list_of_alerts_costs_the_same_for_many(alice, owner, alert, django_assert_max_num_queries):
    for n in range(5):
        made = make_version(owner, f"Model {n}")
        record(made, "production/accuracy", 0.5)
        make_alert(owner, made, f"Watch {n}")
    with django_assert_max_num_queries(8):
        assert len(alice.get("performance/alerts/active").json()["results"]) == 6

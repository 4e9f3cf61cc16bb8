"""Experiments on the API: begun, read, stopped and promoted by those who may, unknown to strangers."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from performance.experiments import looking
from performance.models import Experiment
from registry import access
from tests.api.conftest import Api
from tests.performance.experiments.conftest import judged
from tests.world import make_user, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def analyst(db):
    """Sees all models, and may change none."""
    access.make_roles()
    person = make_user("ann")
    person.groups.add(Group.objects.get(name="Analysts"))
    return Api(person)


@pytest.fixture
def body(versions):
    return {"model": versions[0].model_id, "arms": [{"version": versions[1].pk, "weight": 3}], "expected": 3000}


def begin(api, body, **options):
    return api.post_json("performance/ab-test/start", body, **options)


def test_a_test_is_begun_and_read(alice, body, versions):
    answer = begin(alice, body | {"name": "New one"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["status"], made["verdict"], made["expected"]) == ("New one", "running", "not_yet", 3000)
    assert [(arm["version"], arm["control"], arm["weight"]) for arm in made["arms"]] == [
        (versions[0].pk, True, 3),
        (versions[1].pk, False, 3),
    ]
    read = alice.get(f"performance/ab-test/{made['id']}/results").json()
    assert read == made
    listed = alice.get("performance/ab-test?status=running")
    assert listed.status_code == 200, listed.content
    assert listed.json()["results"][0]["id"] == made["id"]
    assert alice.get("performance/ab-test?status=decided").json()["count"] == 0


def test_what_is_known_is_told_with_its_numbers(alice, body, promotion, versions):
    pk = begin(alice, body).json()["id"]
    control, variant = looking.arms_of(Experiment.objects.get(pk=pk))
    judged(control, 500, 250)
    judged(variant, 500, 400)
    looking.look(pk)
    read = alice.get(f"performance/ab-test/{pk}/results").json()
    assert (read["status"], read["verdict"], read["winner"]) == ("decided", "better", versions[1].pk)
    finding = read["arms"][1]["finding"]
    assert finding["value"] == pytest.approx(0.3) and finding["low"] < 0.3 < finding["high"]
    assert finding["p_value"] < 0.001 and finding["test"] == "score test of two proportions"
    promoted = alice.post_json(f"performance/ab-test/{pk}/promote", {"reason": "It won."})
    assert promoted.status_code == 200 and promoted.json()["promoted"] is True
    assert promotion.promoted[0][0] == versions[1]


def test_the_same_request_gives_the_same_test(alice, body):
    first = begin(alice, body, headers={"Idempotency-Key": "once"})
    again = begin(alice, body, headers={"Idempotency-Key": "once"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = begin(alice, body | {"expected": 4000}, headers={"Idempotency-Key": "once"})
    assert other.status_code == 409 and "used before" in other.json()["detail"]
    assert begin(alice, body).status_code == 409


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"arms": []}, 400, "arms"),
        ({"arms": [{"version": 999_999}]}, 404, None),
        ({"control": 999_999}, 404, None),
        ({"model": 999_999}, 404, None),
        ({"metric": "beauty"}, 400, "metric"),
        ({"expected": 5}, 400, "expected"),
        ({"alpha": "nan"}, 400, "alpha"),
        ({"colour": "red"}, 400, "colour"),
        ({"kind": "shadow", "metric": "feedback_mean"}, 400, "metric"),
    ],
)
def test_what_is_wrong_is_named(alice, body, change, status, field):
    answer = begin(alice, body | change)
    assert answer.status_code == status
    if field:
        assert field in answer.json()["errors"]


def test_a_version_of_another_model_takes_no_part(alice, owner, body):
    other = make_version(owner, "Another", "text-classification")
    assert begin(alice, body | {"arms": [{"version": other.pk}]}).status_code == 404


def test_it_is_looked_at_and_stopped_once(alice, body):
    pk = begin(alice, body).json()["id"]
    assert alice.post_json(f"performance/ab-test/{pk}/look").status_code == 202
    stopped = alice.post_json(f"performance/ab-test/{pk}/stop", {"reason": "Enough"})
    assert stopped.status_code == 200 and stopped.json()["status"] == "stopped"
    for verb in ("stop", "look", "promote"):
        assert alice.post_json(f"performance/ab-test/{pk}/{verb}").status_code == 409, verb


def test_a_stranger_finds_nothing_and_who_only_looks_on_is_told_who_may(alice, analyst, stranger, body):
    pk = begin(alice, body).json()["id"]
    mallory = Api(stranger)
    assert mallory.get("performance/ab-test").json()["count"] == 0
    assert analyst.get(f"performance/ab-test/{pk}/results").status_code == 200
    for api, status in ((mallory, 404), (analyst, 403)):
        assert begin(api, body).status_code == status
        for verb in ("stop", "look", "promote"):
            answer = api.post_json(f"performance/ab-test/{pk}/{verb}")
            assert answer.status_code == status, verb
            if status == 403:
                assert "Release managers" in answer.json()["hint"]
    assert Experiment.objects.get().status == "running"

"""Names, policies and promotions by the API: what owners, approvers, managers and strangers get."""

import pytest
from django.contrib.auth.models import Group

from tests.api.conftest import Api
from tests.registry.promotion.cast import approver, classifier, manager


@pytest.fixture
def one(owner):
    return classifier(owner, 0.9)


@pytest.fixture
def two(one, owner):
    return classifier(owner, 0.92)


@pytest.fixture
def marge(db):
    return Api(manager())


@pytest.fixture
def bob(db):
    return Api(approver())


def test_a_version_is_promoted_read_and_rolled_back(alice, one, two):
    for version in (one, two):
        answer = alice.post_json(f"versions/{version.pk}/promote", {"reason": "Better."})
        assert answer.status_code == 200 and answer.json()["promotion"] is None
        assert (
            answer.json()["change"] | {"after": version.pk, "by": "alice", "kind": "promoted"}
            == answer.json()["change"]
        )
    names = alice.get(f"models/{one.model_id}/aliases").json()
    assert [(entry["name"], entry["version"], entry["version_number"]) for entry in names] == [("champion", two.pk, 2)]
    again = alice.post_json(f"versions/{two.pk}/promote")
    assert again.status_code == 409 and "already" in again.json()["detail"]
    back = alice.post_json(f"versions/{two.pk}/rollback", {"reason": "Slow."})
    assert (back.json()["kind"], back.json()["after"]) == ("rolled_back", one.pk)
    assert alice.post_json(f"versions/{two.pk}/rollback").status_code == 409, "sent again it goes no further"
    assert alice.post_json(f"models/{one.model_id}/rollback", {"leaving": one.pk}).status_code == 409
    history = alice.get(f"models/{one.model_id}/aliases/history?page_size=2").json()
    assert history["count"] == 3 and [row["kind"] for row in history["results"]] == ["rolled_back", "promoted"]


def test_the_champion_by_its_name_and_the_challenger(alice, one, two):
    address = f"models/{one.model_id}/aliases"
    assert alice.send("PUT", f"{address}/champion", {"version": one.pk}).json()["change"]["kind"] == "promoted"
    assert alice.send("PUT", f"{address}/challenger", {"version": two.pk}).json()["change"]["kind"] == "set"
    assert [entry["name"] for entry in alice.get(address).json()] == ["challenger", "champion"]
    assert alice.send("DELETE", f"{address}/challenger?reason=Done").json()["reason"] == "Done"
    assert alice.send("DELETE", f"{address}/challenger").status_code == 404
    assert alice.send("PUT", f"{address}/best", {"version": two.pk}).status_code == 404


def test_a_name_is_given_to_versions_of_the_model_alone(alice, one, owner, stranger):
    from tests.world import make_version

    other, foreign = make_version(owner, "Other"), make_version(stranger, "Foreign")
    refused = alice.send("PUT", f"models/{one.model_id}/aliases/challenger", {"version": other.pk})
    assert refused.status_code == 400 and "version" in refused.json()["errors"]
    assert alice.send("PUT", f"models/{one.model_id}/aliases/champion", {"version": foreign.pk}).status_code == 404


def test_a_policy_is_changed_by_managers_and_read_by_the_owner(alice, marge, one):
    address = f"models/{one.model_id}/policy"
    before = alice.get(address).json()
    assert (before["margin"], before["changed_at"]) == (None, None)
    assert before["metrics"] == ["validation/accuracy", "validation/loss"]
    assert alice.send("PUT", address, {"approvals": 1}).status_code == 403
    role = Group.objects.get(name="Approvers").pk
    changed = marge.send("PUT", address, {"margin": 0.5, "approvals": 1, "role": role}).json()
    assert (changed["margin"], changed["role_name"], changed["changed_by"]) == (0.5, "Approvers", "marge")
    wrong = marge.send("PUT", address, {"margin": -1, "metric": "train/loss"})
    assert wrong.status_code == 400 and set(wrong.json()["errors"]) == {"margin", "metric"}
    assert marge.send("PUT", address, {"approvals": 3}).status_code == 400


def test_failed_checks_are_named_and_overridden_with_a_reason(alice, marge, one, two):
    alice.post_json(f"versions/{one.pk}/promote")
    marge.send("PUT", f"models/{one.model_id}/policy", {"margin": 0})
    shown = alice.get(f"versions/{two.pk}/checks").json()
    assert not shown["passed"] and shown["approvals"] == 0
    refused = alice.post_json(f"versions/{two.pk}/promote")
    assert refused.status_code == 409 and refused.json()["checks"] == shown["checks"]
    assert alice.post_json(f"versions/{two.pk}/promote", {"override": True, "reason": "x"}).status_code == 403
    needed = marge.post_json(f"versions/{two.pk}/promote", {"override": True})
    assert needed.status_code == 400 and "reason" in needed.json()["errors"]
    made = marge.post_json(f"versions/{two.pk}/promote", {"override": True, "reason": "It is urgent."})
    assert made.json()["change"]["kind"] == "overridden"


def test_a_promotion_waits_for_approval(alice, marge, bob, mallory, one):
    marge.send("PUT", f"models/{one.model_id}/policy", {"approvals": 1})
    asked = alice.post_json(f"versions/{one.pk}/promote", {"reason": "The first."})
    assert asked.status_code == 202 and asked.json()["change"] is None
    promotion = asked.json()["promotion"]
    assert alice.post_json(f"versions/{one.pk}/promote").json()["promotion"]["id"] == promotion["id"]
    assert alice.get("promotions?status=open").json()["results"] == [promotion]
    assert mallory.get("promotions").json()["count"] == 0
    address = f"promotions/{promotion['id']}"
    for verb in ("approve", "reject"):
        assert alice.post_json(f"{address}/{verb}").status_code == 403, "who asked decides nothing"
    assert marge.post_json(f"{address}/approve").status_code == 403
    for verb in ("approve", "reject", "withdraw"):
        assert mallory.post_json(f"{address}/{verb}").status_code == 404
    granted = bob.post_json(f"{address}/approve", {"note": "Well done."})
    assert granted.status_code == 200 and granted.json()["status"] == "granted"
    assert granted.json()["approvals"][0]["note"] == "Well done."
    assert bob.post_json(f"{address}/approve").status_code == 409
    assert alice.get("promotions?status=granted").json()["count"] == 1


def test_an_approval_says_when_it_counts_no_more(alice, marge, bob, one):
    marge.send("PUT", f"models/{one.model_id}/policy", {"approvals": 2})
    promotion = alice.post_json(f"versions/{one.pk}/promote").json()["promotion"]
    given = bob.post_json(f"promotions/{promotion['id']}/approve").json()["approvals"]
    assert [(row["counts"], row["why_not"]) for row in given] == [(True, "")]
    approver().groups.clear()
    for shown in (
        alice.get(f"promotions/{promotion['id']}").json(),
        alice.get("promotions").json()["results"][0],
        alice.post_json(f"versions/{one.pk}/promote").json()["promotion"],
    ):
        assert [row["counts"] for row in shown["approvals"]] == [False]
        assert "bob may not approve" in shown["approvals"][0]["why_not"]


def test_who_sees_and_may_not_is_told_so(bob, one):
    for method, address, body in (
        ("POST", f"versions/{one.pk}/promote", None),
        ("POST", f"versions/{one.pk}/rollback", None),
        ("POST", f"models/{one.model_id}/rollback", None),
        ("PUT", f"models/{one.model_id}/aliases/challenger", {"version": one.pk}),
        ("DELETE", f"models/{one.model_id}/aliases/champion", None),
        ("PUT", f"models/{one.model_id}/policy", {"approvals": 0}),
    ):
        answer = bob.send(method, address, body)
        assert answer.status_code == 403 and answer.json()["hint"], address


def test_lists_of_promotions_cost_the_same_for_few_and_for_many(alice, owner, django_assert_num_queries):
    from django.utils import timezone

    from registry.models import PromotionRequest
    from tests.world import make_version

    for number in range(5):
        version = make_version(owner, f"model {number}")
        PromotionRequest.objects.create(model=version.model, version=version, asked_by=owner, asked_at=timezone.now())
    alice.get("promotions")
    with django_assert_num_queries(6):  # the token, the roles (2), the count, the rows, their approvals
        alice.get("promotions")

"""Promotion: at once, with approvals, against the rules, and what refuses it."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from accounts.models import AuditEntry
from common.errors import ConflictError, ForbiddenError, InvalidInputError
from registry.models import AliasChange, ModelVersion, PromotionRequest
from registry.promotion import aliases, approvers, policy, verbs
from tests.registry.promotion.cast import approver, classifier, manager, settle, with_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def one(owner):
    """The champion."""
    version = classifier(owner, 0.9)
    aliases.assign(version.model, "champion", version, owner)
    return version


@pytest.fixture
def two(one, owner):
    return classifier(owner, 0.92)


def asked(version, by):
    request = verbs.promote(version, by, reason="Better.")
    assert isinstance(request, PromotionRequest)
    return request


def test_without_a_policy_whoever_may_promote_decides(one, two, owner):
    change = verbs.promote(two, owner, reason="It is newer.", evidence={"ticket": 7})
    assert (change.kind, change.before, change.after, change.actor) == ("promoted", one, two, owner)
    assert change.evidence["ticket"] == 7 and change.evidence["policy"] is None
    assert [check["rule"] for check in change.evidence["checks"]] == ["usable"]
    assert aliases.champion(one.model) == two


def test_a_version_that_passes_is_promoted_with_its_evidence(one, two, owner):
    settle(one.model, margin=0.0, same_held_out=False)
    change = verbs.promote(two, owner)
    assert change.evidence["policy"]["margin"] == 0.0
    assert change.evidence["checks"][1]["figures"]["champion"] == 0.9


def test_each_failed_rule_is_named(one, two, owner):
    settle(one.model, margin=0.0, needs_test="ab", same_held_out=True)
    with pytest.raises(ConflictError) as refusal:
        verbs.promote(two, owner)
    assert "v2 can't become the champion" in refusal.value.message
    assert "no A/B test" in refusal.value.message and "Nothing is known of the data" in refusal.value.message
    failed = [check["rule"] for check in refusal.value.extra["checks"] if not check["passed"]]
    assert failed == ["same_held_out", "test"]
    assert aliases.champion(one.model) == one


def test_a_second_click_is_told(one, two, owner):
    verbs.promote(two, owner)
    with pytest.raises(ConflictError, match="v2 is the champion already"):
        verbs.promote(two, owner)
    assert AliasChange.objects.count() == 2


def test_who_sees_and_may_not_promote_is_told_who_may(two):
    with pytest.raises(ForbiddenError, match="may not promote versions of Sorter"):
        verbs.promote(two, approver())


def test_going_against_the_rules_needs_the_right_and_a_reason(one, two, owner):
    settle(one.model, margin=0.0)
    with pytest.raises(ForbiddenError, match="promote against a policy"):
        verbs.promote(two, owner, override=True, reason="I want it.")
    with pytest.raises(InvalidInputError) as refusal:
        verbs.promote(two, manager(), override=True, reason="  ")
    assert "reason" in refusal.value.fields
    change = verbs.promote(two, manager(), override=True, reason="The old one is dangerous.")
    assert (change.kind, change.reason) == ("overridden", "The old one is dangerous.")
    assert [check["rule"] for check in change.evidence["checks"] if not check["passed"]] == ["same_held_out"]
    assert AuditEntry.objects.filter(verb="promoted against its policy").count() == 1


def test_an_override_that_nothing_stands_against_is_a_promotion(two):
    assert verbs.promote(two, manager(), override=True).kind == "promoted"


def test_not_even_an_override_puts_a_deleted_version_in_use(one, two):
    ModelVersion.objects.filter(pk=two.pk).update(status="deleted", artifact=[])
    with pytest.raises(ConflictError, match="was deleted"):
        verbs.promote(two, manager(), override=True, reason="Please.")


def test_a_policy_of_the_hub_promotes_and_can_not_override(one, two):
    with pytest.raises(ForbiddenError):
        settle(one.model, needs_test="ab")
        verbs.promote(two, None, override=True, reason="x")
    settle(one.model, needs_test="none")
    change = verbs.promote(two, None, evidence={"retraining": 3})
    assert (change.actor, change.evidence["retraining"]) == (None, 3)


def test_approvals_are_asked_for_and_the_last_one_promotes(one, two, owner):
    settle(one.model, approvals=2)
    bob, carol = approver(), approver("carol")
    request = asked(two, owner)
    assert aliases.champion(one.model) == one
    assert verbs.promote(two, owner) == request, "asked again it is the same request"
    rules = policy.of(one.model)
    assert set(approvers.waiting_for(bob)) == {request} and approvers.whom(rules, request) == "bob and carol"
    assert verbs.approve(request, bob, "Looks well.").status == "open"
    assert not approvers.waiting_for(bob) and set(approvers.waiting_for(carol)) == {request}
    assert approvers.whom(rules, request) == "carol"
    ended = verbs.approve(request, carol)
    assert (ended.status, ended.decided_by) == ("granted", carol)
    change = ended.change
    assert (change.after, change.actor, change.reason) == (two, owner, "Better.")
    assert [(row["by"], row["note"]) for row in change.evidence["approvals"]] == [("bob", "Looks well."), ("carol", "")]
    assert aliases.champion(one.model) == two
    verbs_told = list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))[-5:]
    assert verbs_told == [
        "asked for a promotion", "approved a promotion", "approved a promotion", "promoted", "granted a promotion",
    ]  # fmt: skip


@pytest.mark.parametrize(("needed", "people", "said"), [
    (1, ["bob", "carol"], "bob or carol"), (2, ["bob", "carol"], "bob and carol"),
    (2, ["bob", "carol", "dora"], "any 2 of bob, carol and dora"), (1, ["bob"], "bob"),
    (2, ["bob"], "bob and 1 more, whom an administrator has to give the role"),
    (1, list("abcdefg"), "a, b, c, d, e and others"), (2, list("abcdefg"), "any 2 of a, b, c, d, e and others"),
])  # fmt: skip
def test_who_is_waited_for_says_whether_one_or_all_of_them_are_needed(one, needed, people, said):
    for name in people:
        approver(name)
    assert approvers.whom(settle(one.model, approvals=needed)) == said


def test_who_asked_does_not_approve_and_nobody_approves_twice(one, two):
    settle(one.model, approvals=2)
    both = with_role("dora", "Release managers", "Approvers")
    request = asked(two, both)
    with pytest.raises(ForbiddenError, match="asked for this promotion yourself"):
        verbs.approve(request, both)
    bob = approver()
    verbs.approve(request, bob)
    with pytest.raises(ConflictError, match="have approved"):
        verbs.approve(request, bob)
    assert request.approvals.count() == 1


def test_the_role_of_the_policy_is_asked_for(one, two, owner):
    bob, eve = approver(), with_role("eve", "Approvers")
    safety = Group.objects.create(name="Safety")
    safety.permissions.set(Group.objects.get(name="Approvers").permissions.all())
    settle(one.model, approvals=1, role=safety.pk)
    request = asked(two, owner)
    with pytest.raises(ForbiddenError, match="asks for people of the role Safety"):
        verbs.approve(request, bob)
    assert "nobody who may" in approvers.whom(policy.of(one.model), request)
    assert not approvers.waiting_for(bob)
    with pytest.raises(ForbiddenError, match="may not approve"):
        verbs.approve(request, manager())
    eve.groups.add(safety)
    assert verbs.approve(request, with_role("eve")).status == "granted"


def test_checks_are_made_again_when_the_last_approval_comes(one, two, owner):
    settle(one.model, approvals=1)
    request = asked(two, owner)
    ModelVersion.objects.filter(pk=two.pk).update(damaged_at=one.created_at)
    ended = verbs.approve(request, approver())
    assert (ended.status, ended.change) == ("refused", None)
    assert "no longer passes" in ended.note and "damaged" in ended.note
    assert ended.checks[0]["passed"] is False
    assert aliases.champion(one.model) == one


def test_a_request_is_refused_or_withdrawn_and_then_decided(one, two, owner):
    settle(one.model, approvals=1)
    request = asked(two, owner)
    refused = verbs.reject(request, approver(), "Not now.")
    assert (refused.status, refused.note) == ("refused", "Not now.")
    with pytest.raises(ConflictError, match="decided already: refused"):
        verbs.approve(request, approver("carol"))
    again = asked(two, owner)
    with pytest.raises(ForbiddenError):
        verbs.withdraw(again, approver())
    assert verbs.withdraw(again, owner).status == "withdrawn"
    assert aliases.champion(one.model) == one


def test_one_request_waits_for_a_model(one, two, owner):
    settle(one.model, approvals=1)
    request = asked(two, owner)
    with pytest.raises(ConflictError, match="v2 waits for approval already") as refusal:
        verbs.promote(classifier(owner, 0.99), owner)
    assert refusal.value.extra["request"] == request.pk


def test_a_request_is_moot_once_its_version_is_the_champion(one, two, owner):
    settle(one.model, approvals=1)
    request = asked(two, owner)
    verbs.promote(two, manager(), override=True, reason="Now.")
    request.refresh_from_db()
    assert (request.status, request.note) == ("withdrawn", "It became the champion without it.")


def test_a_champion_under_a_policy_is_not_simply_taken_away(one, owner):
    settle(one.model, margin=0.0)
    with pytest.raises(ForbiddenError):
        verbs.take_away(one.model, "champion", owner)
    with pytest.raises(InvalidInputError):
        verbs.take_away(one.model, "champion", manager())
    assert verbs.take_away(one.model, "champion", manager(), "It lies.").kind == "removed"


def test_the_evidence_of_the_old_champion_is_kept(one, two, owner):
    settle(one.model, margin=0.0, same_held_out=False)
    verbs.promote(two, owner)
    first, second = AliasChange.objects.order_by("id")
    assert second.before == one and first.after == one and second.evidence["checks"]


def test_where_enough_have_agreed_by_a_policy_that_asks_for_fewer_now_asking_again_promotes(one, two, owner):
    settle(one.model, approvals=2)
    request = verbs.promote(two, owner)
    assert verbs.approve(request, approver()).status == "open"
    settle(one.model, approvals=1)
    change = verbs.promote(two, owner)
    assert isinstance(change, AliasChange) and aliases.champion(one.model) == two
    assert PromotionRequest.objects.get().status == "granted"


def test_only_the_approvals_of_those_who_may_still_approve_count(one, two, owner):
    settle(one.model, approvals=2)
    request = asked(two, owner)
    bob, carol, dave = (approver(name) for name in ("bob", "carol", "dave"))
    verbs.approve(request, bob)
    bob.groups.clear()
    assert verbs.approve(request, carol).status == "open", "bob has lost the role since"
    type(carol).objects.filter(pk=carol.pk).update(is_active=False)
    said = [approvers.why_not(row) for row in approvers.given()]
    assert "bob may not approve promotions any longer" in said[0] and "account of carol was deactivated" in said[1]
    assert isinstance(verbs.promote(two, owner), PromotionRequest), "nor when it is asked for again"
    assert verbs.approve(request, dave).status == "open"
    approver("bob")
    change = verbs.promote(two, owner)
    assert isinstance(change, AliasChange), "bob has it back"
    assert [row["by"] for row in change.evidence["approvals"]] == ["bob", "dave"]
    assert len(change.evidence["approvals_not_counted"]) == 1 and "carol" in change.evidence["approvals_not_counted"][0]
    assert not any(approvers.why_not(row) for row in approvers.given()), "what is decided is decided"


def test_an_approval_counts_no_more_once_the_policy_asks_for_another_role(one, two, owner):
    settle(one.model, approvals=2)
    request = asked(two, owner)
    verbs.approve(request, approver())
    safety = Group.objects.create(name="Safety")
    safety.permissions.set(Group.objects.get(name="Approvers").permissions.all())
    settle(one.model, approvals=1, role=safety.pk)
    assert isinstance(verbs.promote(two, owner), PromotionRequest)
    assert "bob has not the role Safety" in approvers.why_not(approvers.given().get())

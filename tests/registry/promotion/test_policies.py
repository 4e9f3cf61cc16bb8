"""Policies: data that is checked, changed by those who may go against them, with their history in the audit trail."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import Group

from accounts.models import AuditEntry
from common.errors import ForbiddenError, InvalidInputError
from registry.models import PromotionPolicy
from registry.promotion import policy
from tests.registry.promotion.cast import classifier, manager, with_role

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(owner):
    return classifier(owner, 0.8).model


def test_a_model_without_a_policy_has_rules_that_ask_for_nothing(model):
    rules = policy.of(model)
    assert (rules.pk, rules.margin, rules.approvals, rules.needs_test) == (None, None, 0, "none")


def test_a_change_keeps_what_is_not_named_and_its_history(model):
    marge = manager()
    policy.change(model, marge, margin=0.01, approvals=1)
    rules = policy.change(model, marge, approvals=2)
    assert (rules.margin, rules.approvals, rules.changed_by) == (0.01, 2, marge)
    first, second = AuditEntry.objects.filter(verb="changed the policy").order_by("id")
    assert json.loads(first.details)["before"] is None
    told = json.loads(second.details)
    assert (told["before"]["approvals"], told["after"]["approvals"], told["after"]["margin"]) == (1, 2, 0.01)


def test_saving_the_same_again_is_no_change(model):
    policy.change(model, manager(), margin=0.01)
    policy.change(model, manager(), margin=0.01)
    assert AuditEntry.objects.filter(verb="changed the policy").count() == 1


def test_the_owner_is_bound_by_the_policy_and_does_not_change_it(model, owner):
    with pytest.raises(ForbiddenError, match="may not change the policy of Sorter") as refusal:
        policy.change(model, owner, approvals=0)
    assert "Release managers" in refusal.value.hint
    assert not PromotionPolicy.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("margin", -0.1, "from 0 on"), ("margin", float("nan"), "from 0 on"), ("margin", True, "from 0 on"),
        ("margin", 1e300, "from 0 on"), ("minimum_examples", -1, "whole number"), ("minimum_examples", 1.5, "whole"),
        ("approvals", 3, "0 to 2"), ("approvals", True, "0 to 2"), ("needs_test", "gut", "none, ab, shadow"),
        ("same_held_out", "yes", "yes or no"), ("role", 999_999, "Approvers"),
        ("metric", "train/loss", "held-out data"), ("metric", "validation/colour", "Nobody knows"),
        ("metric", "validation/recall", "validation/accuracy, validation/loss"), ("metric", "x" * 101, "100"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_at_its_field(model, field, value, words):
    with pytest.raises(InvalidInputError) as refusal:
        policy.change(model, manager(), **{field: value})
    assert words in refusal.value.fields[field][0]
    assert not PromotionPolicy.objects.exists()


def test_the_role_is_one_whose_people_may_approve(model):
    with_role("x", "Analysts")
    with pytest.raises(InvalidInputError) as refusal:
        policy.change(model, manager(), role=Group.objects.get(name="Analysts").pk)
    assert "Approvers" in refusal.value.fields["role"][0]
    rules = policy.change(model, manager(), role=Group.objects.get(name="Approvers").pk, approvals=1)
    assert rules.role.name == "Approvers"


def test_figures_that_can_be_named_are_held_out_and_have_a_better_way(model):
    assert policy.metrics(model) == ["validation/accuracy", "validation/loss"]

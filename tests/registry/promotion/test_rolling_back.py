"""Rolling back: to the champion before, further each time, past what can't be used."""

from __future__ import annotations

import pytest

from common.errors import ConflictError, ForbiddenError
from registry import routing
from registry.models import ModelVersion
from registry.promotion import aliases, verbs
from tests.registry.promotion.cast import approver, classifier, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def line(owner):
    """Four versions, each of which was the champion."""
    versions = [classifier(owner, 0.8 + number / 100) for number in range(4)]
    for version in versions:
        verbs.promote(version, owner)
    return versions


def test_one_click_brings_the_last_one_back_and_the_router_sees_it(line, owner):
    model = line[0].model
    change = verbs.roll_back(model, owner, "It is slow.")
    assert (change.kind, change.before, change.after, change.reason) == ("rolled_back", line[3], line[2], "It is slow.")
    assert routing.choose(model, "k").version == line[2]


def test_again_goes_further_back_and_not_to_and_fro(line, owner):
    model = line[0].model
    assert [verbs.roll_back(model, owner).after for _ in range(3)] == [line[2], line[1], line[0]]
    with pytest.raises(ConflictError, match="no earlier champion"):
        verbs.roll_back(model, owner)


def test_after_a_new_promotion_it_goes_back_to_who_was_there(line, owner):
    model = line[0].model
    verbs.roll_back(model, owner)
    verbs.roll_back(model, owner)
    verbs.promote(line[3], owner)
    assert verbs.roll_back(model, owner).after == line[1]


def test_what_can_not_be_used_is_passed_over(line, owner):
    ModelVersion.objects.filter(pk=line[2].pk).update(status="deleted", artifact=[])
    ModelVersion.objects.filter(pk=line[1].pk).update(damaged_at=line[1].created_at)
    assert verbs.roll_back(line[0].model, owner).after == line[0]


def test_a_name_that_was_taken_away_comes_back(line, owner):
    model = line[0].model
    verbs.take_away(model, "champion", owner)
    assert verbs.roll_back(model, owner).after == line[3]


def test_no_policy_stands_in_its_way(line, owner):
    settle(line[0].model, margin=0.0, needs_test="ab", approvals=2)
    assert verbs.roll_back(line[0].model, owner).kind == "rolled_back"


def test_a_second_click_does_not_go_further(line, owner):
    verbs.roll_back(line[0].model, owner, leaving=line[3].pk)
    with pytest.raises(ConflictError, match="v3 is the champion by now"):
        verbs.roll_back(line[0].model, owner, leaving=line[3].pk)


def test_who_may_not_promote_may_not_roll_back(line):
    with pytest.raises(ForbiddenError):
        verbs.roll_back(line[0].model, approver())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], ([], False)),
        ([("set", 1)], ([1], True)),
        ([("set", 1), ("promoted", 2), ("promoted", 1)], ([1, 2, 1], True)),
        ([("set", 1), ("promoted", 2), ("rolled_back", 1)], ([1], True)),
        ([("set", 1), ("promoted", 2), ("removed", None)], ([1, 2], False)),
        ([("set", 1), ("removed", None), ("set", 1)], ([1], True)),
        ([("set", 1), ("promoted", 2), ("promoted", 3), ("rolled_back", 1), ("overridden", 3)], ([1, 3], True)),
        ([("set", 1), ("promoted", 2), ("promoted", 1), ("promoted", 2), ("rolled_back", 1)], ([1], True)),
    ],
)
def test_the_stack_of_champions(changes, expected):
    assert aliases.stack(changes) == expected

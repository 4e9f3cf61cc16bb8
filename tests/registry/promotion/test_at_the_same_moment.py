"""Two people at the same moment: one change, however they meet."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from common.errors import ConflictError
from registry.models import Alias, AliasChange, PromotionRequest
from registry.promotion import aliases, verbs
from tests.registry.promotion.cast import approver, classifier, settle

pytestmark = pytest.mark.django_db(transaction=True)


def together(*calls):
    """What each call gave or raised, all begun at once."""
    gate, found = threading.Barrier(len(calls)), [None] * len(calls)

    def carry_out(place, call):
        try:
            gate.wait(10)
            found[place] = call()
        except Exception as error:
            found[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=carry_out, args=entry) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return found


def test_two_approvers_promote_exactly_once(owner):
    one, two = classifier(owner, 0.9), classifier(owner, 0.92)
    aliases.assign(one.model, "champion", one, owner)
    settle(one.model, approvals=1)
    request = verbs.promote(two, owner)
    bob, carol = approver(), approver("carol")
    found = together(lambda: verbs.approve(request, bob), lambda: verbs.approve(request, carol))
    assert sorted(type(entry) for entry in found if isinstance(entry, Exception)) == [ConflictError]
    request.refresh_from_db()
    assert request.status == "granted"
    assert AliasChange.objects.filter(after=two).count() == 1 and request.approvals.count() == 1


def test_both_of_two_approvals_count_when_they_come_together(owner):
    version = classifier(owner, 0.9)
    settle(version.model, approvals=2)
    request = verbs.promote(version, owner)
    bob, carol = approver(), approver("carol")
    found = together(lambda: verbs.approve(request, bob), lambda: verbs.approve(request, carol))
    assert sorted(entry.status for entry in found) == ["granted", "open"]
    assert AliasChange.objects.filter(kind="promoted").count() == 1


def test_a_double_click_is_one_promotion_one_request_one_step_back(owner):
    one, two, three = (classifier(owner, accuracy) for accuracy in (0.9, 0.92, 0.94))
    for version in (one, two):
        verbs.promote(version, owner)
    found = together(*[lambda: verbs.promote(three, owner)] * 3)
    assert sum(isinstance(entry, AliasChange) for entry in found) == 1
    found = together(*[lambda: verbs.roll_back(one.model, owner, leaving=three.pk)] * 3)
    assert sum(isinstance(entry, AliasChange) for entry in found) == 1
    assert Alias.objects.get(name="champion").version == two
    settle(one.model, approvals=1)
    found = together(*[lambda: verbs.promote(three, owner)] * 3)
    assert len({entry.pk for entry in found}) == 1 and PromotionRequest.objects.count() == 1

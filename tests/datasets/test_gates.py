"""Gates: what may be trained on, and why the rest may not."""

from __future__ import annotations

import hashlib

import pytest

from datasets.gating import gates
from datasets.models import Item, ReviewVote
from datasets.reviewing import reviews


def fill(dataset, count: int, **fields) -> list[Item]:
    """Rows without files; gates look at rows alone."""
    start = dataset.items.count()
    items = Item.objects.bulk_create(
        Item(dataset=dataset, sha256=hashlib.sha256(f"{dataset.pk}.{number}".encode()).hexdigest(),
             name=f"{number}.png", media_type="image/png", bytes=10, **fields)
        for number in range(start, start + count)
    )  # fmt: skip
    dataset.item_count = dataset.items.count()
    dataset.status = "active"
    dataset.save()
    return items


def test_a_dataset_without_gates_gives_all_but_what_was_set_aside(images):
    fill(images, 3)
    fill(images, 2, aside="duplicate", review="rejected", governance="refused")
    assert gates.trainable(images).count() == 3
    assert gates.left_out(images) == {
        "set_aside": 2, "rejected": 0, "not_approved": 0, "refused": 0, "unchecked": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("approvals", "governed"), [(0, False), (1, False), (0, True), (2, True)])
def test_every_item_passes_or_has_one_reason(images, approvals, governed):
    images.approvals, images.governed = approvals, governed
    for review in ("none", "approved", "change", "rejected"):
        for governance in ("unchecked", "allowed", "refused"):
            for aside in ("", "by_hand"):
                fill(images, 1, review=review, governance=governance, aside=aside)
    passed, left = set(gates.trainable(images)), set(gates.refused(images))
    assert passed | left == set(images.items.all()) and not passed & left
    assert passed == set(images.items.filter(gates.PASSED)), "the same for items of any dataset"
    assert sum(gates.left_out(images).values()) == len(left)
    for item in passed:
        assert item.aside == ""
        assert not approvals or item.review == "approved"
        assert not governed or item.governance == "allowed"


def test_left_out_in_words():
    assert gates.in_words({"set_aside": 1200, "rejected": 0, "refused": 1}) == "1,200 set aside, 1 refused by a rule"
    assert gates.in_words({}) == ""


def test_a_changed_item_begins_a_new_round(images, owner):
    first, second, third = fill(images, 3, review="approved")
    for item in (first, second):
        ReviewVote.objects.create(dataset=images, item=item, reviewer=owner, verdict="approved")
    assert reviews.forget(images, [first.pk, third.pk]) == 2
    rounds = dict(images.items.values_list("pk", "review_round"))
    assert rounds == {first.pk: 2, second.pk: 1, third.pk: 2}
    first.refresh_from_db()
    assert first.review == "none" and first.votes.count() == 1, "the vote stays on record"

"""Reviews by people: what they said of items, and what follows for each item."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import F

from common.push import publish
from datasets.models import Dataset, Review


def forget(dataset: Dataset, ids: Iterable[int]) -> int:
    """Begin a new round for items that were changed: what was said of them was said of something else.

    Their votes stay on record. Items that nobody reviewed begin one too: a vote may be on its way that was given while
    looking at what they were. Returns how many items there were.
    """
    with transaction.atomic():
        changed = dataset.items.filter(pk__in=list(ids))
        count = changed.update(review=Review.NONE, review_round=F("review_round") + 1)
        if count:
            publish(f"dataset.{dataset.pk}")
    return count

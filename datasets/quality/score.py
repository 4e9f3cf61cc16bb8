"""From findings to figures: what an item is worth, and the dataset."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models import Avg
from django.db.models.functions import Now

from common.push import publish
from datasets.models import Dataset, Finding, Item, QualityRun

BINS = 10  # of the histogram of items: 0–9, 10–19, …, 90–100


def of_items(items: Iterable[Item]) -> dict[int, int]:
    """What each item is worth now, 0–100: 100 less what its open findings take.

    A row's points count for that row alone: a table loses the mean of what its rows lose.
    """
    items = list(items)
    taken: dict[int, float] = defaultdict(float)
    of_rows: dict[tuple[int, int], int] = defaultdict(int)
    open_ones = Finding.objects.filter(item__in=items, dismissed_at=None).values_list("item", "row", "points")
    for item, row, points in open_ones.iterator(5000):
        if row is None:
            taken[item] += points
        else:
            of_rows[item, row] += points
    rows = {item.pk: max(1, item.facts.get("rows") or 1) for item in items}
    for (item, _), points in of_rows.items():
        taken[item] += min(100, points) / rows[item]
    return {item.pk: round(max(0.0, 100 - taken[item.pk])) for item in items}


def write_items(items: Iterable[Item]) -> None:
    """Set `quality` of these items, one statement a value."""
    by_value: dict[int, list[int]] = defaultdict(list)
    for item, worth in of_items(items).items():
        by_value[worth].append(item)
    for worth, ids in by_value.items():
        Item.objects.filter(pk__in=ids).exclude(quality=worth).update(quality=worth)


def settle(dataset: Dataset, whole: list[dict[str, Any]] | None = None) -> float | None:
    """Set the dataset's score from its items and from what was found of it as a whole; returns it.

    `whole` defaults to what the latest completed run found. None when nothing was checked.
    """
    if whole is None:
        latest = newest(dataset)
        whole = latest.summary.get("whole", []) if latest else []
    mean = dataset.items.filter(aside="", quality__isnull=False).order_by().aggregate(mean=Avg("quality"))["mean"]
    worth = None if mean is None else max(0.0, round(float(mean) - sum(entry["points"] for entry in whole), 1))
    Dataset.objects.filter(pk=dataset.pk).update(quality=worth, quality_at=Now())
    publish(f"dataset.{dataset.pk}")
    return worth


def follow(dataset: Dataset) -> None:
    """Set the score anew because items went or came back; where no check came to its end there is none to set."""
    if newest(dataset) is not None:
        settle(dataset)


def newest(dataset: Dataset) -> QualityRun | None:
    """The latest run that came to its end."""
    return dataset.quality_runs.filter(status=QualityRun.Status.COMPLETED).order_by("-id").first()


def in_words(worth: float | None) -> str:
    if worth is None:
        return "Not checked"
    return next(word for limit, word in ((90, "Good"), (70, "Fair"), (0, "Poor")) if worth >= limit)

"""Reading datasets for pages and API: lists that need no query per row."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet

from datasets.models import Dataset, Import, Item


@dataclass(frozen=True)
class LabelCount:
    """A class of a dataset and how many items it has. The empty label is of items without a folder."""

    label: str
    count: int


def listed() -> QuerySet[Dataset]:
    """Datasets with what a row of a list shows, in one query."""
    return Dataset.objects.select_related("owner", "subject").defer("owner__password")


def imports(dataset: Dataset) -> QuerySet[Import]:
    """Imports into a dataset, newest first, without their long lists of sources."""
    return dataset.imports.defer("sources").select_related("created_by").defer("created_by__password")


def items(dataset: Dataset, label: str | None = None) -> QuerySet[Item]:
    """Items in the order of their import; of one class when `label` is given ('' for none)."""
    found = dataset.items.order_by("id")
    return found if label is None else found.filter(label=label)


def label_counts(dataset: Dataset, limit: int = 1000) -> list[LabelCount]:
    """The classes by name, at most `limit` of them."""
    rows = dataset.items.order_by("label").values_list("label").annotate(count=Count("id"))[:limit]
    return [LabelCount(label, count) for label, count in rows]

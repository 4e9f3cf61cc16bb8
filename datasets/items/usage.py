"""Where an item is used: versions that hold it, subjects it can be of, changes of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import visible
from datasets.models import DatasetVersion, Edit, EditedItem, Item, Subject

LOOKED_ITEMS = 20_000  # items of a version whose manifest is looked through for one page
VERSIONS = 5


def versions_with(item: Item) -> list[dict[str, Any]]:
    """The latest versions of the dataset, with the set that holds the item; None where no one has looked.

    A version that is older than the item does not hold it; manifests of many items are not looked through.
    """
    from datasets.freezing import membership

    found = []
    newer = item.dataset.versions.filter(created_at__gte=item.created_at).order_by("-number")
    for version in newer[:VERSIONS]:
        looked = sum(version.counts.values()) <= LOOKED_ITEMS
        part = membership.split_of(version, item.pk) if looked else ""
        if part or not looked:
            found.append({"version": version, "split": part, "jobs": _jobs(version)})
    return found


def subjects(user: AbstractBaseUser) -> list[Subject]:
    """Subjects that the item can be given, by name."""
    return list(visible(Subject.objects.order_by("name"), user)[:200])


def changes(item: Item) -> list[EditedItem]:
    """The latest edits of the item."""
    rows = EditedItem.objects.filter(item=item).select_related("edit", "edit__by").order_by("-edit_id")
    return list(rows.defer("before", "edit__by__password")[:10])


def named(edits: Iterable[Edit]) -> list[dict[str, Any]]:
    """The edits, each with the item that it changed where it is a single one that is still there."""
    found = list(edits)
    single = EditedItem.objects.filter(edit__in=[edit.pk for edit in found if edit.count == 1])
    items = {row["edit"]: row for row in single.values("edit", "item", "item__name")}
    return [{"edit": edit, "item": items.get(edit.pk)} for edit in found]


def _jobs(version: DatasetVersion) -> list[dict[str, Any]]:
    return list(version.jobs.order_by("-pk").values("pk", "name", "status")[:5])

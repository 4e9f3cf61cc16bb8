"""Removing items for good from their pages: what is asked before, and what is said afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import QueryDict
from django.urls import reverse

from common import wording
from common.errors import ConflictError
from datasets.freezing import removal
from datasets.items import confirming
from datasets.items.browse import Total
from datasets.models import Dataset


def question(dataset: Dataset, form: QueryDict, counted: Total | int) -> dict[str, Any]:
    """What the dialog says before items are removed; without a button while that would be refused.

    `counted` are those that fit the filters, or how many were chosen. What comes in while the dialog is open is not
    removed.
    """
    pages = {"action": reverse("dataset-items-edit", args=[dataset.pk]), "back": reverse("dataset", args=[dataset.pk])}
    if dataset.status == Dataset.Status.PROCESSING:
        lines = ["Nothing can be removed while an import runs. Wait until it has ended, or cancel it."]
        return {**pages, "title": f"'{dataset.name}' is importing", "lines": lines, "button": "", "keep": "Close"}
    items = f"{counted} item{'s' * (str(counted) != '1')}"
    lines = [
        "They are deleted with their files, votes and findings. This can't be undone; setting aside can.",
        "Items that a frozen version holds stay, so that it stays known what models learned from.",
    ]
    if isinstance(counted, Total):
        more = "" if counted.exact else " How many exactly is said when it is done."
        lines.insert(0, f"{items} fit your filters.{more}")
    return {
        **pages, "title": f"Remove {items} for good?", "lines": lines, "keep": "Keep them",
        "button": f"Remove {counted} for good", "icon_name": "trash",
        "kept": confirming.kept(dataset, form, counted if isinstance(counted, Total) else None),
    }  # fmt: skip


def remove(dataset: Dataset, by: AbstractBaseUser, items: Iterable[int]) -> str:
    """Remove the items; returns what happened, in words.

    ConflictError when a frozen version holds all of them, and as `removal.remove_items`.
    """
    gone = removal.remove_items(dataset, by, items)
    if gone.kept and not gone.items:
        raise ConflictError(
            f"Nothing was removed: {_held(gone.kept)}.",
            "Set them aside, so that no job is trained on them, or delete the version if nobody used it.",
        )
    if not gone.items:
        return "Nothing was removed: the items are gone already."
    text = f"{gone.items:,} item{'s are' if gone.items != 1 else ' is'} removed for good; "
    text += f"{wording.size(gone.bytes_freed)} are free again."
    return f"{text} {_held(gone.kept).capitalize()}." if gone.kept else text


def _held(count: int) -> str:
    if count == 1:
        return "1 item stays, since a frozen version holds it"
    return f"{count:,} items stay, since a frozen version holds them"

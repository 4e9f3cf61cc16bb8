"""Deleting for good: versions that nobody used, and items that no version needs. Each says how many bytes are free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import PROTECT, QuerySet, Sum
from django.db.models.functions import Now

from accounts import audit
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from common.push import publish
from common.references import remove_unreferenced
from datasets.creation import addresses_of
from datasets.freezing import manifests
from datasets.models import Dataset, DatasetVersion, Item
from datasets.quality import score

CHUNK = 2000
MOST = 10_000  # items of one removal: some ten seconds, for which everyone who adds items waits


@dataclass(frozen=True)
class Removed:
    """How a removal went: items removed, items that a version needs and so stay, bytes free on the disk."""

    items: int
    kept: int
    bytes_freed: int


def uses(version: DatasetVersion) -> dict[str, int]:
    """What was made from a version, by kind: {"job": 2, "model version": 1}; empty when nobody used it."""
    found: dict[str, int] = {}
    for relation in DatasetVersion._meta.related_objects:
        if relation.on_delete is PROTECT:
            count = relation.related_model.objects.filter(**{relation.field.name: version}).count()
            if count:
                found[str(relation.related_model._meta.verbose_name)] = count
    return found


def delete_version(version: DatasetVersion, by: AbstractBaseUser) -> int:
    """Delete a version that nobody used; returns the bytes freed. ConflictError names what was made from it."""
    with transaction.atomic():
        row = DatasetVersion.objects.select_for_update(of=("self",)).filter(pk=version.pk).first()
        if row is None:
            raise NotFoundError("The version is gone already.", "Go back to its dataset.")
        if used := uses(row):
            words = " and ".join(f"{count:,} {kind}{'s' * (count != 1)}" for kind, count in used.items())
            raise ConflictError(
                f"'{row}' can't be deleted: it was used by {words}.",
                "Keep it, so that it stays known what those learned from.",
            )
        addresses = [row.content_hash, *filter(None, [row.left_out_hash])]
        audit.write(by, "deleted", row, content_hash=row.content_hash)
        row.delete()
        publish(f"dataset.{row.dataset_id}")
    return remove_unreferenced(store(), addresses)


def remove_items(dataset: Dataset, by: AbstractBaseUser, items: Iterable[int] | QuerySet[Item]) -> Removed:
    """Remove items for good, with their files, votes, findings and decisions. What a version holds stays.

    They are given by ids or as a queryset. ConflictError while the dataset is importing, InvalidInputError for more
    than 10,000.
    """
    with transaction.atomic():
        row = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()
        if row is None:
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        if row.status == Dataset.Status.PROCESSING:
            raise ConflictError(f"'{row.name}' is importing.", "Wait until the import has ended, then try again.")
        wanted = _wanted(row, items)
        frozen = _frozen(row, wanted)
        doomed = sorted(pk for sha256, pk in wanted.items() if sha256 not in frozen)
        addresses: list[str] = []
        gone = 0
        for start in range(0, len(doomed), CHUNK):
            items = row.items.filter(pk__in=doomed[start : start + CHUNK])
            addresses += addresses_of(items)
            gone += items.aggregate(bytes=Sum("bytes"))["bytes"] or 0
            items.delete()
        left = row.item_count - len(doomed)
        Dataset.objects.filter(pk=row.pk).update(
            item_count=left, byte_count=row.byte_count - gone, updated_at=Now(),
            status=row.status if left else Dataset.Status.EMPTY,
        )  # fmt: skip
        score.follow(row)
        publish(f"dataset.{row.pk}")
    freed = remove_unreferenced(store(), addresses)
    dataset.refresh_from_db()
    return Removed(len(doomed), len(frozen), freed)


def _wanted(dataset: Dataset, items: Iterable[int] | QuerySet[Item]) -> dict[str, int]:
    """Content and id of those that are the dataset's."""
    rest = iter(items.values_list("pk", flat=True).iterator(CHUNK) if isinstance(items, QuerySet) else items)
    found: dict[str, int] = {}
    while chunk := list(islice(rest, CHUNK)):
        found.update(dataset.items.filter(pk__in=chunk).values_list("sha256", "pk"))
        if len(found) > MOST:
            raise InvalidInputError(
                f"At most {MOST:,} items can be removed at once.",
                "Choose fewer, for example one class after the other.",
            )
    return found


def _frozen(dataset: Dataset, wanted: dict[str, int]) -> set[str]:
    """Those of the contents that a version of the dataset names."""
    found: set[str] = set()
    for content_hash in dataset.versions.values_list("content_hash", flat=True):
        if len(found) == len(wanted):
            break
        found.update(entry["sha256"] for entry in manifests.entries(content_hash) if entry["sha256"] in wanted)
    return found

"""Freezing a dataset: a manifest of the items that passed its gates, kept in the file store under its own hash."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet

from common.errors import ConflictError, NotFoundError
from common.files import store
from common.push import publish
from common.references import hold_store
from datasets.freezing import manifests, splits
from datasets.freezing.manifests import Draft
from datasets.freezing.splits import CONTENT, KEY, Split
from datasets.gating import gates, governance
from datasets.models import Dataset, DatasetVersion

check_split = splits.check
Ids = Collection[int] | QuerySet[Any] | None


def freeze(
    dataset: Dataset, by: AbstractBaseUser, *, validation_fraction: float = 0.1, test_fraction: float = 0.0,
    seed: int = 0, split_by: str = CONTENT, split_key: str = KEY, only: Ids = None,
) -> DatasetVersion:  # fmt: skip
    """The version of the dataset as it is now. Takes and raises what `freeze_or_find` does."""
    rule = {"split_by": split_by, "split_key": split_key}
    fractions = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    return freeze_or_find(dataset, by, **fractions, seed=seed, **rule, only=only)[0]


def freeze_or_find(
    dataset: Dataset, by: AbstractBaseUser, *, validation_fraction: float = 0.1, test_fraction: float = 0.0,
    seed: int = 0, split_by: str = CONTENT, split_key: str = KEY, only: Ids = None,
) -> tuple[DatasetVersion, bool]:  # fmt: skip
    """(the version of the dataset as it is now, whether it is new): the same items, seed and split give the same one.

    `split_key` names the metadata that give the parts, where they are split as given. `only`: the ids of the items
    that are looked at, None for all.
    Only items that passed the gates go in; the version says what was left out and why. InvalidInputError for an
    impossible split, ConflictError while the dataset is not active, when nothing passed its gates, or while the
    governance rules have many items to look at.
    """
    check_split(validation_fraction, test_fraction, seed, split_by, split_key)
    governance.settle(dataset)
    with transaction.atomic():
        # Imports write to this row with each batch, so no items are added until the end.
        locked = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()
        _check_active(locked)
        split = Split(float(validation_fraction), float(test_fraction), seed, split_by, split_key)
        hold_store()
        with manifests.draft(locked, split, only) as draft:
            _check_left(locked, draft)
            with draft.manifest() as manifest:
                content_hash = store().add(manifest).sha256
            if known := locked.versions.filter(content_hash=content_hash).first():
                return known, False
            return _version(locked, by, draft, content_hash), True


def preview_split(dataset: Dataset, **wanted: Any) -> dict[str, int]:
    """How many items each part would get. Takes and raises what `planned` does."""
    return planned(dataset, **wanted).counts


def planned(
    dataset: Dataset, *, validation_fraction: float = 0.1, test_fraction: float = 0.0, seed: int = 0,
    split_by: str = CONTENT, split_key: str = KEY,
) -> Split:  # fmt: skip
    """The split that the dataset would get. Writes nothing. InvalidInputError as `freeze`; any dataset can be asked."""
    check_split(validation_fraction, test_fraction, seed, split_by, split_key)
    split = Split(float(validation_fraction), float(test_fraction), seed, split_by, split_key)
    with transaction.atomic():
        items = gates.trainable(dataset)
        if not splits.counted(split, items):
            columns = ("sha256", "label", "group", "recorded_at", "said")
            for row in splits.said_in(items, split).order_by().values_list(*columns).iterator(manifests.ROWS):
                split.add(splits.record(*row))
            split.settle()
    return split


def _check_active(dataset: Dataset | None) -> None:
    if dataset is None:
        raise NotFoundError("The dataset is gone.", "Choose another dataset.")
    status = dataset.status
    if status == Dataset.Status.PROCESSING:
        raise ConflictError(f"'{dataset.name}' is still importing.", "Wait until the import has ended, then try again.")
    if status != Dataset.Status.ACTIVE:
        raise ConflictError(f"'{dataset.name}' has no items.", "Add files to it, then try again.")


def _check_left(dataset: Dataset, draft: Draft) -> None:
    if not draft.items:
        raise ConflictError(
            f"No item of '{dataset.name}' passed its gates: {gates.in_words(draft.left_out)}.",
            "Look at its page 'Gates': review items, change the rules, or take back what was set aside.",
            left_out=draft.left_out,
        )
    if draft.left_out["unchecked"]:
        raise ConflictError(
            f"{draft.left_out['unchecked']:,} items of '{dataset.name}' were changed just now.",
            "The rules are being applied to them. Try again in a moment.",
        )


def _version(dataset: Dataset, by: AbstractBaseUser, draft: Draft, content_hash: str) -> DatasetVersion:
    split = draft.split
    parent = dataset.versions.order_by("-number").first()
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=parent.number + 1 if parent else 1,
        content_hash=content_hash,
        seed=split.seed,
        validation_fraction=split.validation_fraction,
        test_fraction=split.test_fraction,
        counts=split.counts,
        classes=draft.classes,
        byte_count=draft.bytes,
        parent=parent,
        split_rule=split.rule,
        created_by=by,
        **_left_out(draft),
    )
    publish(f"dataset.{dataset.pk}")
    return version


def _left_out(draft: Draft) -> dict[str, Any]:
    """Counts by reason, and the list as a file of the store."""
    counts = {reason: count for reason, count in draft.left_out.items() if count}
    if not counts:
        return {}
    draft.refused.seek(0)
    return {"left_out": counts, "left_out_hash": store().add(draft.refused).sha256}

"""Freezing a dataset: a manifest of its items with the split, kept in the file store under its own hash.

Where an item goes depends on the seed and the item's content alone, so adding items moves none. Only when a
set that was asked for would stay empty, the item nearest to it is moved there.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Max, Sum

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from common.numbers import BIGINT_MAX
from common.push import publish
from common.references import hold_store
from datasets.models import Dataset, DatasetVersion, Item

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
ROWS = 2000
IN_MEMORY = 8 << 20


@dataclass
class Split:
    """The plan of a split. `counts` are items a set, `moved` the few that fill a set that would be empty."""

    validation_fraction: float
    test_fraction: float
    seed: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    moved: dict[str, str] = field(default_factory=dict)

    def of(self, sha256: str) -> str:
        """The set of the item with this content."""
        return self.moved.get(sha256) or self._by_place(self.place(sha256))

    def place(self, sha256: str) -> float:
        """Where an item stands between 0 and 1: a stable hash of seed and content."""
        digest = hashlib.sha256(f"{self.seed}:{sha256}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def _by_place(self, place: float) -> str:
        if place < self.test_fraction:
            return TEST
        return VALIDATION if place < self.test_fraction + self.validation_fraction else TRAIN


def freeze(
    dataset: Dataset, by: AbstractBaseUser, *, validation_fraction: float = 0.1, test_fraction: float = 0.0,
    seed: int = 0,
) -> DatasetVersion:  # fmt: skip
    """The version of the dataset as it is now. The same items, seed and fractions give the same version.

    InvalidInputError for impossible fractions, ConflictError while the dataset is not active.
    """
    check_split(validation_fraction, test_fraction, seed)
    with transaction.atomic():
        # Imports write to this row with each batch, so the items stand still until the end.
        locked = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()
        _check_active(locked)
        split = _plan(locked, validation_fraction, test_fraction, seed)
        classes = _classes(locked)
        hold_store()
        with _manifest(locked, split, classes) as manifest:
            stored = store().add(manifest)
        return _version(locked, by, split, classes, stored.sha256)


def preview_split(
    dataset: Dataset, *, validation_fraction: float = 0.1, test_fraction: float = 0.0, seed: int = 0
) -> dict[str, int]:
    """How many items each set would get. Writes nothing. Errors as `freeze`, but any dataset can be asked."""
    check_split(validation_fraction, test_fraction, seed)
    with transaction.atomic():
        return _plan(dataset, validation_fraction, test_fraction, seed).counts


def check_split(validation: float, test: float, seed: int) -> None:
    """InvalidInputError for fractions and seeds by which nothing can be split."""
    problems: dict[str, list[str]] = {}
    for name, value in (("validation_fraction", validation), ("test_fraction", test)):
        if not (isinstance(value, int | float) and math.isfinite(value) and 0 <= value < 1):
            problems[name] = ["A number from 0 up to, and not including, 1."]
    if not problems and validation + test >= 1:
        problems["validation_fraction"] = ["Together with the test fraction it must leave something to train on."]
    if not -BIGINT_MAX <= seed <= BIGINT_MAX:
        problems["seed"] = ["A whole number of at most 63 bits."]
    if problems:
        name, texts = next(iter(problems.items()))
        raise InvalidInputError(
            f"{name}: {texts[0]}", "Use for example 0.1 for validation and 0 for test.", fields=problems
        )


def _check_active(dataset: Dataset | None) -> None:
    if dataset is None:
        raise NotFoundError("The dataset is gone.", "Choose another dataset.")
    status = dataset.status
    if status == Dataset.Status.PROCESSING:
        raise ConflictError(f"'{dataset.name}' is still importing.", "Wait until the import has ended, then try again.")
    if status != Dataset.Status.ACTIVE:
        raise ConflictError(f"'{dataset.name}' has no items.", "Add files to it, then try again.")


def _items(dataset: Dataset) -> Iterator[Item]:
    """In an order that depends on content alone."""
    fields = ("id", "sha256", "name", "label", "bytes")
    return dataset.items.order_by("sha256").only(*fields).iterator(ROWS)


def _plan(dataset: Dataset, validation: float, test: float, seed: int) -> Split:
    split = Split(float(validation), float(test), seed)
    low: dict[str, tuple[float, str]] = {}  # of each set, the item that stands lowest
    high: dict[str, tuple[float, str]] = {}
    for sha256 in dataset.items.order_by().values_list("sha256", flat=True).iterator(ROWS):
        place = (split.place(sha256), sha256)
        name = split.of(sha256)
        split.counts[name] += 1
        low[name] = min(low.get(name, place), place)
        high[name] = max(high.get(name, place), place)
    _fill(split, low, high)
    return split


def _fill(split: Split, low: dict[str, tuple[float, str]], high: dict[str, tuple[float, str]]) -> None:
    """Move single items into sets that would stay empty: training first, then validation, then test."""
    wanted = [TRAIN]
    wanted += [VALIDATION] * (split.validation_fraction > 0)
    wanted += [TEST] * (split.test_fraction > 0)
    for name in wanted[: sum(split.counts.values())]:
        if split.counts[name]:
            continue
        giver = max(SPLITS, key=lambda other: (split.counts[other], SPLITS.index(other)))
        less_needed = SPLITS.index(giver) > SPLITS.index(name)
        if split.counts[giver] < (1 if less_needed else 2):
            continue
        # Training stands above the others: the highest moves up into it, the lowest down out of it.
        ends = (high, low) if name == TRAIN else (low, high)
        sha256 = ends[0][giver][1]
        if sha256 in split.moved:
            sha256 = ends[1][giver][1]
        split.moved[sha256] = name
        split.counts[giver] -= 1
        split.counts[name] += 1


def _classes(dataset: Dataset) -> list[str]:
    labels = dataset.items.exclude(label="").order_by("label").values_list("label", flat=True).distinct()
    return list(labels)


def _manifest(dataset: Dataset, split: Split, classes: list[str]) -> BinaryIO:
    """The manifest from its start: a header line, then a line an item. Large ones are on the disk meanwhile."""
    lines = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=store().temporary_folder())  # noqa: SIM115 - joined below
    digest = hashlib.sha256()
    for item in _items(dataset):
        line = _line(
            id=str(item.pk), sha256=item.sha256, name=item.name, label=item.label or None, split=split.of(item.sha256),
            bytes=item.bytes,
        )  # fmt: skip
        digest.update(line)
        lines.write(line)
    lines.seek(0)
    header = _line(
        modality=dataset.modality, classes=classes, counts=split.counts, content_hash=digest.hexdigest(),
        seed=split.seed, validation_fraction=split.validation_fraction, test_fraction=split.test_fraction,
    )  # fmt: skip
    return io.BufferedReader(_Joined(header, lines))


def _line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


class _Joined(io.RawIOBase):
    """A head, then a file, as one stream."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self.head, self.file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self.head[: len(buffer)] or self.file.read(len(buffer))
        self.head = self.head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def _version(
    dataset: Dataset, by: AbstractBaseUser, split: Split, classes: list[str], content_hash: str
) -> DatasetVersion:
    """The version with this manifest: the one that is there, else a new one. The dataset is locked."""
    if known := dataset.versions.filter(content_hash=content_hash).first():
        return known
    figures = dataset.items.aggregate(bytes=Sum("bytes"))
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=(dataset.versions.aggregate(last=Max("number"))["last"] or 0) + 1,
        content_hash=content_hash,
        seed=split.seed,
        validation_fraction=split.validation_fraction,
        test_fraction=split.test_fraction,
        counts=split.counts,
        classes=classes,
        byte_count=figures["bytes"] or 0,
        created_by=by,
    )
    publish(f"dataset.{dataset.pk}")
    return version

"""The data of a run: a manifest of items, and their bytes in a content-addressed store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.protocol import DataSpec, EngineError, FailureCode


@dataclass(frozen=True)
class Item:
    """One file of a dataset version."""

    id: str
    sha256: str
    name: str
    label: str | None
    split: str  # train, validation or test
    bytes: int


@dataclass(frozen=True)
class Dataset:
    """A frozen dataset version."""

    modality: str
    classes: list[str]
    content_hash: str | None
    items: list[Item]
    store: Path

    def part(self, split: str) -> list[Item]:
        """The items of a split, in manifest order."""
        return [item for item in self.items if item.split == split]

    def read(self, item: Item) -> bytes:
        """An item's bytes; EngineError BAD_DATA when they are missing or not what was frozen."""
        path = self.store / item.sha256[:2] / item.sha256
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise bad_data(f"The file of '{item.name}' is missing from the store.", _RESTORE) from error
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise bad_data(f"The file of '{item.name}' was damaged since it was imported.", _RESTORE)
        return data


_RESTORE = "Restore the file store from a backup, or import the data again and freeze a new version."


def bad_data(message: str, hint: str) -> EngineError:
    """The failure of a run whose data can't be trained on."""
    return EngineError(FailureCode.BAD_DATA, message, hint)


def open_dataset(spec: DataSpec | None, modality: str) -> Dataset:
    """Read the manifest; EngineError BAD_DATA when there is none or it holds another modality."""
    if spec is None:
        raise bad_data("This recipe needs a dataset.", f"Choose a dataset of modality '{modality}'.")
    try:
        lines = _lines(spec.manifest)
        header = next(lines)
        items = [Item(**{key: line[key] for key in Item.__dataclass_fields__}) for line in lines]
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise bad_data(f"The dataset's manifest can't be read: {error}.", "Freeze the version again.") from error
    if header.get("modality") != modality:
        raise bad_data(
            f"This dataset holds {header.get('modality')}, the recipe trains on {modality}.",
            f"Choose a dataset of modality '{modality}'.",
        )
    if not items:
        raise bad_data("The dataset version has no items.", "Add files to the dataset and freeze a new version.")
    return Dataset(modality, list(header.get("classes") or []), header.get("content_hash"), items, spec.store)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)

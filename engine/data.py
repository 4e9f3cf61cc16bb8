"""The data of a run: a manifest of items, and their bytes in a content-addressed store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol import DataSpec, EngineError, FailureCode


@dataclass(frozen=True)
class Item:
    """One file or one row of a dataset version."""

    id: str
    sha256: str
    name: str
    label: str | None
    split: str  # train, validation or test
    bytes: int
    content: dict[str, Any] | None = None  # of a row: text; prompt and completion; or messages
    caption: str = ""
    group: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # seconds, sample_rate, fps, frames, rows, columns …
    aside_rows: list[list[int]] = field(default_factory=list)  # of a table: [first, after the last] that are left out


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
        try:
            data = self.path(item.sha256).read_bytes()
        except FileNotFoundError as error:
            raise bad_data(f"The file of '{item.name}' is missing from the store.", _RESTORE) from error
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise bad_data(f"The file of '{item.name}' was damaged since it was imported.", _RESTORE)
        return data

    def text(self, item: Item) -> str:
        """What a document or a row says; EngineError BAD_DATA when a document is no text any more."""
        if item.content is not None:
            return text_of(item.content)
        try:
            return self.read(item).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise bad_data(
                f"'{item.name}' is not UTF-8 text.", "Convert the file to UTF-8 and import it again."
            ) from error

    def parquet(self, item: Item) -> Path:
        """The columnar copy of a table, checked; EngineError BAD_DATA when it is missing or damaged."""
        address = str(item.facts.get("parquet", ""))
        path = self.path(address)
        try:
            with open(path, "rb") as file:
                whole = hashlib.file_digest(file, "sha256").hexdigest() == address
        except (FileNotFoundError, IsADirectoryError) as error:
            raise bad_data(f"The columns of '{item.name}' are missing from the store.", _RESTORE) from error
        if not whole:
            raise bad_data(f"The columns of '{item.name}' were damaged since they were imported.", _RESTORE)
        return path

    def path(self, sha256: str) -> Path:
        """Where the store keeps a file."""
        return self.store / sha256[:2] / sha256


_RESTORE = "Restore the file store from a backup, or import the data again and freeze a new version."


def text_of(content: dict[str, Any]) -> str:
    """A row as one text: what is asked and what is answered on lines of their own, in order."""
    if "messages" in content:
        return "\n".join(message["content"] for message in content["messages"])
    parts = (content.get(key) for key in ("system", "prompt", "completion", "text"))
    return "\n".join(part for part in parts if part)


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
        items = [_item(line) for line in lines]
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise bad_data(f"The dataset's manifest can't be read: {error}.", "Freeze the version again.") from error
    if header.get("modality") != modality:
        raise bad_data(
            f"This dataset holds {header.get('modality')}, the recipe trains on {modality}.",
            f"Choose a dataset of modality '{modality}'.",
        )
    if not items:
        raise bad_data("The dataset version has no items.", "Add files to the dataset and freeze a new version.")
    return Dataset(modality, list(header.get("classes") or []), header.get("content_hash"), items, spec.store)


_KEYS = tuple(Item.__dataclass_fields__)


def _item(line: dict[str, Any]) -> Item:
    """A line of the manifest; what only some items have is left out of the others' lines."""
    return Item(**{key: line[key] for key in _KEYS if key in line})


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)

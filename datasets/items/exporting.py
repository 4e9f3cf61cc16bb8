"""Items as a zip archive that an import reads back: files in folders of their classes, lists of what is known of them.

    <class>/<name>-<id>.<ending>   a file each; without a class, at the top
    metadata.jsonl                 a line a file: file_name, label, caption, group, split …; not of tables
    rows.jsonl                     pairs, chats and short texts, a line each with the same keys

What goes in is settled by one look at the database, and noted on the disk; memory does not grow with the items.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from django.db.models import F, QuerySet

from common.errors import NotFoundError
from common.files import store
from common.zips import Zip
from datasets import formats, limits
from datasets.freezing import manifests
from datasets.items import browse
from datasets.items.filters import Filters
from datasets.models import Dataset, DatasetVersion, Modality

TYPE = "application/zip"
PART = 1000
IN_MEMORY = 8 << 20
MAX_STEM = 150
MARKS = ("label", "caption", "group", "subject", "recorded_at", "split")
COLUMNS = ("id", "sha256", "name", "media_type", "content", "metadata", "label", "caption", "group", "recorded_at")


def of_items(dataset: Dataset, filters: Filters) -> Iterator[bytes]:
    """The items that fit, as they are now."""
    return _archive(dataset, _items(dataset, filters))


def of_version(version: DatasetVersion) -> Iterator[bytes]:
    """What a frozen version holds, with each item's set. NotFoundError when its manifest is missing."""
    return _archive(version.dataset, manifests.entries(version.content_hash))


def _items(dataset: Dataset, filters: Filters) -> Iterator[dict[str, Any]]:
    found = browse.matching(dataset, filters)
    if isinstance(found, QuerySet):
        yield from _known(found.order_by("id")).iterator(PART)
        return
    while part := list(islice(found, PART)):
        yield from _known(dataset.items.filter(pk__in=part).order_by("id"))


def _known(items: QuerySet[Any]) -> QuerySet[Any]:
    return items.values(*COLUMNS, subject_name=F("subject__name"))


def _archive(dataset: Dataset, entries: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    with _spool() as files, _spool() as listed, _spool() as rows:
        for entry in entries:
            if entry.get("content"):
                rows.write(_line({**entry["content"], **_marks(entry)}))
                continue
            path = _path(entry)
            files.write(_line({"path": path, "sha256": entry["sha256"]}))
            listed.write(_line({"file_name": path, **_marks(entry)}))
        made = Zip(store().temporary_folder())
        files.seek(0)
        for line in files:
            yield from _file(made, **json.loads(line))
        if listed.tell() and dataset.modality != Modality.TABLE:
            yield from made.add("metadata.jsonl", lambda: _Again(listed))
        if rows.tell():
            yield from made.add("rows.jsonl", lambda: _Again(rows))
        yield from made.end()


def _file(made: Zip, path: str, sha256: str) -> Iterator[bytes]:
    """A file of the store; nothing when it was removed since the items were looked at."""
    try:
        store().open(sha256).close()
    except NotFoundError:
        return
    yield from made.add(path, lambda: store().open(sha256))


def _marks(entry: dict[str, Any]) -> dict[str, Any]:
    """What is known of an item beside its content, under the names that an import understands."""
    known = {name: entry.get(name) for name in MARKS} | {"subject": entry.get("subject_name")}
    if known["recorded_at"]:
        known["recorded_at"] = known["recorded_at"].isoformat()
    return (entry.get("metadata") or {}) | {name: value for name, value in known.items() if value}


def _path(entry: dict[str, Any]) -> str:
    name = PurePosixPath(entry["name"].replace("\\", "/")).name
    ending = PurePosixPath(name).suffix or formats.EXTENSIONS.get(entry.get("media_type", ""), "")
    stem = _safe(name.removesuffix(ending))[:MAX_STEM] or "item"
    folder = _safe(entry.get("label") or "")[: limits.MAX_LABEL]
    file = f"{stem}-{entry['id']}{_safe(ending)}"
    return f"{folder}/{file}" if folder else file


def _safe(text: str) -> str:
    """Part of a path that every system can store: nothing that separates folders or can't be shown."""
    kept = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in text)
    return kept.strip(" ") if kept.strip(". ") else "_" * len(kept)


def _line(known: dict[str, Any]) -> bytes:
    return json.dumps(known, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _spool() -> Any:
    return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=store().temporary_folder())


class _Again:
    """A list on the disk, read from its start; it stays open afterwards."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def __enter__(self) -> BinaryIO:
        self.file.seek(0)
        return self.file

    def __exit__(self, *error: object) -> None:
        pass

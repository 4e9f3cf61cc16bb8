"""The items of a frozen version, read from its manifest: a line an item, in the order of their content."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from typing import Any

from common.errors import NotFoundError
from common.files import store
from datasets.models import DatasetVersion

LINES = 500


def lines(version: DatasetVersion, split: str = "", offset: int = 0) -> Iterator[tuple[int, int]]:
    """(item id, offset after its line) of the items of one set, or of all, from a line's start.

    An offset that is no line's start, and a manifest that is missing, give nothing.
    """
    try:
        file = store().open(version.content_hash)
    except NotFoundError:
        return
    needle = f'"split":"{split}"'.encode() if split else b""
    with file:
        if offset:
            file.seek(offset - 1)
            if file.read(1) != b"\n":
                return
        else:
            offset += len(file.readline())  # the header
        for line in file:
            offset += len(line)
            if needle in line:
                entry = json.loads(line)
                if not split or entry["split"] == split:
                    yield int(entry["id"]), offset


def ids(version: DatasetVersion, split: str = "") -> Iterator[int]:
    """The ids of the items of one set, or of all."""
    return (pk for pk, _ in lines(version, split))


def first_of(version: DatasetVersion, splits: Collection[str], count: int, within: int) -> list[dict[str, Any]]:
    """The first lines of these sets, at most `count`, as far as the first `within` bytes of the manifest hold them: for
    a look, however large the version is. None where the manifest is missing."""
    try:
        file = store().open(version.content_hash)
    except NotFoundError:
        return []
    needles = [f'"split":"{split}"'.encode() for split in splits]
    found: list[dict[str, Any]] = []
    with file:
        left = within - len(file.readline())
        while len(found) < count and left > 0 and (line := file.readline()):
            left -= len(line)
            if any(needle in line for needle in needles) and (entry := json.loads(line))["split"] in splits:
                found.append(entry)
    return found


def parts(version: DatasetVersion, split: str, offset: int, seconds: float) -> Iterator[dict[int, int]]:
    """Some hundred items at a time, id -> offset after it, until the time is up; at least one part if there is any."""
    until = time.monotonic() + seconds
    part: dict[int, int] = {}
    for pk, after in lines(version, split, offset):
        part[pk] = after
        if len(part) == LINES:
            yield part
            if time.monotonic() > until:
                return
            part = {}
    if part:
        yield part


def split_of(version: DatasetVersion, item_id: int) -> str:
    """The set of a version that holds the item; '' when none does. Reads the manifest up to it."""
    try:
        file = store().open(version.content_hash)
    except NotFoundError:
        return ""
    needle = f'"id":"{item_id}"'.encode()
    with file:
        file.readline()
        for line in file:
            if needle in line and (entry := json.loads(line))["id"] == str(item_id):
                return entry["split"]
    return ""

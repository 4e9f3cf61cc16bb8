"""Files of the store that nothing names any more: found, and deleted once they are a day old.

A writer that is killed between a file and the row that names it leaves such a file. The last look is taken under the
store's lock, so a file that a row names at that moment stays, whoever writes it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from common.background import enqueue
from common.files import SHA256, store
from common.references import needed, remove_unreferenced
from datasets.freezing import manifests
from datasets.models import DatasetVersion

DAY = 24 * 3600.0
CHUNK = 500
MARKER = ".store-collected"  # in the home: when the store was last looked through
TASK = "datasets.tasks.collect"


@dataclass(frozen=True)
class Collected:
    """How many files were looked at, how many of them nothing names, and their bytes."""

    seen: int
    files: int
    bytes: int


def collect(*, dry_run: bool = False) -> Collected:
    """Delete the files that nothing names and that were not touched for a day; or only count them.

    NotFoundError when a version's manifest is missing: what it names can't be known then, and nothing is deleted.
    """
    seen = 0
    orphans: dict[str, int] = {}
    files = _files()
    while chunk := dict(islice(files, CHUNK)):
        seen += len(chunk)
        named = needed(list(chunk))
        orphans |= {sha256: size for sha256, size in chunk.items() if sha256 not in named}
    for sha256 in _named_by_versions(orphans):
        del orphans[sha256]
    if dry_run:
        return Collected(seen, len(orphans), sum(orphans.values()))
    fresh = set(orphans) - dict(_files(orphans)).keys()
    return Collected(seen, len(orphans) - len(fresh), remove_unreferenced(store(), sorted(set(orphans) - fresh)))


def sweep_store() -> bool:
    """Have the store looked through once a day. Cheap enough to be called every few seconds."""
    marker = store().root.parent / MARKER
    with suppress(FileNotFoundError):
        if time.time() - marker.stat().st_mtime < DAY:
            return False
    marker.touch()
    enqueue(TASK)
    return True


def _files(only: dict[str, int] | None = None) -> Iterator[tuple[str, int]]:
    """Address and size of files of the store (or of `only` these) that are old enough.

    A file gets its name in the store by a rename, a link or a change of mode, each of which sets its ctime.
    """
    before = time.time() - DAY
    found: Iterator[Path] = (store().path(sha256) for sha256 in only) if only is not None else _walk()
    for path in found:
        with suppress(FileNotFoundError):
            status = path.lstat()
            if max(status.st_mtime, status.st_ctime) < before:
                yield path.name, status.st_size


def _walk() -> Iterator[Path]:
    for folder in store().root.iterdir():
        if len(folder.name) == 2 and folder.is_dir():
            yield from (path for path in folder.iterdir() if SHA256.fullmatch(path.name))


def _named_by_versions(orphans: dict[str, int]) -> set[str]:
    """Those that the manifest of a frozen version names, whatever became of its items."""
    found: set[str] = set()
    if orphans:
        for content_hash in DatasetVersion.objects.values_list("content_hash", flat=True):
            for entry in manifests.entries(content_hash):
                copy = entry.get("facts", {}).get("parquet", "")
                found |= {address for address in (entry["sha256"], copy) if address in orphans}
    return found

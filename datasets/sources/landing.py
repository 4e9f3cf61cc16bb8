"""Where fetched files land: one pack, and beside it an index of what of it is on the disk.

After a crash the next worker goes on from the index. A worker that is frozen holds its pack's lock; the next one
then begins a pack of its own, so that two never write into one.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from common.files import disk_full_in_words, sync_folder
from datasets.intake import spool

SYNC_BYTES = 64 << 20
SYNC_SECONDS = 2.0
PREFIX = "fetched-"


class Landing:
    """The pack of one import while it is filled. A context manager; what was synced stays after an error."""

    def __init__(self, import_id: int, attempt: int) -> None:
        self.folder = spool.folder_of(import_id)
        self.entries: list[dict[str, Any]] = []  # name, offset, bytes, key: complete files
        self.validator = ""
        with disk_full_in_words():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path, self.pack = self._taken() or self._new(attempt)
            self.index = os.open(_index(self.path), os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._load()
        self._unsynced: list[dict[str, Any]] = []
        self._synced_at, self._synced_bytes = time.monotonic(), self.bytes

    def __enter__(self) -> Landing:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.index)
        os.close(self.pack)

    @property
    def last_key(self) -> str:
        return self.entries[-1]["key"] if self.entries else ""

    @property
    def partial(self) -> int:
        """Bytes of the file that is being fetched."""
        return self.bytes - self._start

    def restart(self, size: int = 0) -> None:
        """Go back to the first `size` bytes of the present file."""
        self.bytes = self._start + size
        os.ftruncate(self.pack, self.bytes)

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        with disk_full_in_words():
            while rest:
                written = os.pwrite(self.pack, rest, self.bytes)
                self.bytes, rest = self.bytes + written, rest[written:]
        if self.bytes - self._synced_bytes > SYNC_BYTES or time.monotonic() - self._synced_at > SYNC_SECONDS:
            self.sync()

    def complete(self, key: str, name: str) -> None:
        """The present file is whole; the next one begins."""
        entry = {"key": key, "name": name, "offset": self._start, "bytes": self.partial}
        self.entries.append(entry)
        self._unsynced.append(entry)
        self._start, self.validator = self.bytes, ""

    def sync(self) -> None:
        """Bring the pack to the disk, then say so in the index."""
        lines = [*self._unsynced]
        if self.partial:
            lines.append({"partial": self.partial, "validator": self.validator})
        with disk_full_in_words():
            os.fdatasync(self.pack)
            if lines:
                self._note("".join(json.dumps(line) + "\n" for line in lines).encode())
        self._unsynced, self._synced_at, self._synced_bytes = [], time.monotonic(), self.bytes

    def _note(self, lines: bytes) -> None:
        """Bring lines to the index; a full disk takes a part of them, which the next worker cuts off."""
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self.index, rest) :]
        os.fdatasync(self.index)

    def hand_over(self) -> list[dict[str, Any]]:
        """Make it the import's pack; returns the import's sources."""
        self.sync()
        target = self.folder / spool.PACK
        os.rename(self.path, target)
        sync_folder(self.folder)
        relative = str(target.relative_to(settings.TRAINHUB_HOME))
        return [
            {"name": entry["name"], "path": relative, "offset": entry["offset"], "bytes": entry["bytes"]}
            for entry in self.entries
        ]

    def _taken(self) -> tuple[Path, int] | None:
        """The newest pack that a worker left behind, unless somebody still holds it."""
        packs = [path for path in self.folder.glob(f"{PREFIX}*") if path.suffix == ""]
        for path in sorted(packs, key=lambda path: int(path.name.removeprefix(PREFIX)), reverse=True):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            return path, descriptor
        return None

    def _new(self, attempt: int) -> tuple[Path, int]:
        path = self.folder / f"{PREFIX}{attempt}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return path, descriptor

    def _load(self) -> None:
        """What the index says is on the disk; from a line on that was cut off, it is cut off, too."""
        partial = whole = 0
        with open(os.dup(self.index), "rb") as lines:
            lines.seek(0)
            for line in lines:
                known = _whole(line)
                if known is None:
                    break
                whole += len(line)
                if "partial" in known:
                    partial, self.validator = known["partial"], known["validator"]
                else:
                    self.entries.append(known)
                    partial, self.validator = 0, ""
        os.ftruncate(self.index, whole)  # what comes next would stand behind half a line
        self._start = self.entries[-1]["offset"] + self.entries[-1]["bytes"] if self.entries else 0
        self.bytes = self._start
        if os.fstat(self.pack).st_size >= self._start + partial:
            self.bytes += partial
        os.ftruncate(self.pack, self.bytes)


def _whole(line: bytes) -> dict[str, Any] | None:
    """What a line of the index says; None where the power was lost before all of it was on the disk."""
    if not line.endswith(b"\n"):
        return None
    try:
        return json.loads(line)
    except ValueError:
        return None


def _index(path: Path) -> Path:
    return path.with_name(f"{path.name}.index")

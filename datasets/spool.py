"""Where uploads wait for their import: one pack for each upload, its files one after another.

Ten thousand small files are then one open file and one sync. While a process writes or reads a pack it
holds a lock on it, so a sweep can tell a pack whose process died.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings

from common.errors import TooLargeError
from common.files import Window, disk_full_in_words, sync_folder
from datasets import limits

PREFIX = "incoming-"
PACK = "pack"


@dataclass(frozen=True)
class Entry:
    """One file of a pack: what the sender called it, and where its bytes lie."""

    name: str
    offset: int
    bytes: int


class Pack:
    """A pack that is being filled. Removed when it is closed, unless an import took it over."""

    def __init__(self) -> None:
        folder = uploads()
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{PREFIX}{uuid.uuid4().hex}"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        with disk_full_in_words():
            self.descriptor = os.open(self.path, flags, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        self.bytes = 0
        self.taken = False
        self.users = 1

    def write(self, chunk: bytes) -> None:
        """Append. TooLargeError above the limit of an upload, UnavailableError when the disk is full."""
        self.bytes += len(chunk)
        if self.bytes > limits.MAX_UPLOAD_BYTES:
            raise too_large()
        rest = memoryview(chunk)
        with disk_full_in_words():
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]

    def add(self, name: str, chunks: Iterable[bytes]) -> Entry:
        start = self.bytes
        for chunk in chunks:
            self.write(chunk)
        return Entry(name, start, self.bytes - start)

    def hand_over(self, import_id: int) -> str:
        """Move the synced pack into the folder of an import; returns its path relative to the home."""
        folder = folder_of(import_id)
        with disk_full_in_words():
            os.fsync(self.descriptor)
            shutil.rmtree(folder, ignore_errors=True)  # of a database that was reset; ids are never reused
            folder.mkdir(mode=0o700)
            os.rename(self.path, folder / PACK)
            sync_folder(folder)
            sync_folder(folder.parent)
        self.path, self.taken = folder / PACK, True
        return str(self.path.relative_to(settings.TRAINHUB_HOME))

    def close(self) -> None:
        """One user less; the last one closes the file."""
        self.users -= 1
        if self.users == 0:
            os.close(self.descriptor)
            if not self.taken:
                self.path.unlink(missing_ok=True)


def uploads() -> Path:
    return Path(settings.TRAINHUB_HOME) / "uploads"


def folder_of(import_id: int) -> Path:
    return uploads() / str(int(import_id))


@contextmanager
def opened(import_id: int) -> Iterator[int]:
    """The descriptor of an import's pack. FileNotFoundError when it is gone."""
    descriptor = os.open(folder_of(import_id) / PACK, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def window(descriptor: int, source: dict[str, Any]) -> BinaryIO:
    """The bytes of one source of an import."""
    return io.BufferedReader(Window(descriptor, source["offset"], source["bytes"]), 1 << 16)


def remove(import_id: int) -> None:
    shutil.rmtree(folder_of(import_id), ignore_errors=True)


def sweep(is_open: Callable[[int], bool]) -> int:
    """Remove packs that belong to no process and to no open import; returns how many.

    The lock is tried first and the import asked for after: whoever let go of the lock has committed its row.
    """
    removed = 0
    for path in uploads().iterdir():
        if path.name.startswith(PREFIX):
            removed += _unlocked(path) and _discard(path)
        elif path.name.isdecimal() and _unlocked(path / PACK) and not is_open(int(path.name)):
            removed += _discard(path)
    return removed


def too_large() -> TooLargeError:
    return TooLargeError(
        f"The upload is larger than {limits.MAX_UPLOAD_BYTES / limits.GIB:.3g} GiB.", "Send it in several parts."
    )


def _unlocked(path: Path) -> bool:
    """Whether no process writes this pack. True for a folder whose pack is gone already."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return path.name == PACK
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _discard(path: Path) -> bool:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return True

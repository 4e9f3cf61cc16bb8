"""Where files wait for their import: one folder for each import, with one pack of its files, one after another.

Ten thousand small files are then one open file and one sync. While a process writes a pack it holds a lock
on it, so a sweep can tell a pack whose process died. Files that came in piece by piece lie beside the pack,
linked and not copied; a source can also name a file of the store, which is read where it lies.
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
from common.files import Window, disk_full_in_words, store, sync_folder
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


class Opened:
    """The files of an import, and how far they were read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(folder / PACK, flags)
        self._latest: tuple[Window, int] | None = None

    def window(self, source: dict[str, Any]) -> BinaryIO:
        """The bytes of one source: a stretch of the pack, a file beside it, or a file of the store."""
        path = self._own_path(source)
        if path is None:
            opened = Window(self.descriptor, source["offset"], source["bytes"])
        else:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            opened = _OwnWindow(os.open(path, flags), 0, source["bytes"])
        return io.BufferedReader(_Watched(self, opened, source.get("before", source["offset"])), 1 << 16)

    @property
    def bytes_done(self) -> int:
        """Where the reader stands, counted from the start of the first source."""
        return self._latest[1] + min(self._latest[0].tell(), self._latest[0].length) if self._latest else 0

    def reads(self, window: Window, before: int) -> None:
        self._latest = window, before

    def close(self) -> None:
        os.close(self.descriptor)

    def _own_path(self, source: dict[str, Any]) -> Path | None:
        if sha256 := source.get("stored"):
            return store().path(sha256)
        name = Path(source["path"]).name
        return None if name == PACK else self.folder / name


class _OwnWindow(Window):
    """A window that closes its descriptor."""

    def close(self) -> None:
        if not self.closed:
            os.close(self.descriptor)
        super().close()


class _Watched(io.RawIOBase):
    """A window that tells how far it was read."""

    def __init__(self, opened: Opened, window: Window, before: int) -> None:
        self.opened, self.inner, self.before = opened, window, before

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.inner.seek(offset, whence)

    def tell(self) -> int:
        return self.inner.tell()

    def readinto(self, buffer: memoryview) -> int:
        self.opened.reads(self.inner, self.before)
        return self.inner.readinto(buffer)

    def close(self) -> None:
        self.inner.close()
        super().close()


@contextmanager
def opened(import_id: int) -> Iterator[Opened]:
    """The files of an import. FileNotFoundError when they are gone."""
    found = Opened(folder_of(import_id))
    try:
        yield found
    finally:
        found.close()


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

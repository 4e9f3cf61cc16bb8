"""The file store: every file lies under the SHA-256 of its content, so no path is ever made by a user.

Layout: `<root>/<first two digits>/<sha256>`, read-only. A file is written under a temporary name in the
same filesystem, synced, renamed, and its folder synced: what has its name is complete, whatever crashes.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeVar

from common.errors import InvalidInputError, NotFoundError, UnavailableError

T = TypeVar("T")

CHUNK = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")
TEMPORARY = ".incoming"
MODE = 0o440  # nobody, not even its owner, changes a stored file
# Syncing files side by side lets the filesystem commit many of them at once.
SYNC_THREADS = 8


@dataclass(frozen=True)
class Stored:
    """A file of the store: its address and its size."""

    sha256: str
    bytes: int


class Draft:
    """A file on its way into the store: written in pieces, hashed while it is written, readable meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / uuid.uuid4().hex
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        with disk_full_in_words():
            self.descriptor = os.open(self.path, flags, 0o600)
        self.bytes = 0
        self._hash = hashlib.sha256()

    @property
    def stored(self) -> Stored:
        """Address and size of what was written so far."""
        return Stored(self._hash.hexdigest(), self.bytes)

    def write(self, chunk: bytes) -> None:
        """Append. UnavailableError when the disk is full."""
        rest = memoryview(chunk)
        with disk_full_in_words():
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        self._hash.update(chunk)
        self.bytes += len(chunk)

    def reader(self) -> BinaryIO:
        """What was written so far, from its start, independent of further writes."""
        return io.BufferedReader(Window(self.descriptor, 0, self.bytes))

    def take_in(self) -> None:
        """Count and hash what another process wrote to the path."""
        with open(self.path, "rb") as file:
            self._hash = hashlib.sha256()
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)
            self.bytes = file.tell()

    def sync(self) -> None:
        with disk_full_in_words():
            os.fchmod(self.descriptor, MODE)
            os.fsync(self.descriptor)

    def discard(self) -> None:
        """Close it and remove it, unless it has been moved into the store."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
        self.path.unlink(missing_ok=True)


class Batch:
    """Several files that enter the store together: sync all, then publish those that are wanted.

    A context manager: drafts that were not published leave nothing behind.
    """

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self.drafts: list[Draft] = []

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all drafts; those that were published stay in the store."""
        for draft in self.drafts:
            draft.discard()
        self.drafts = []

    def draft(self) -> Draft:
        draft = Draft(self.store.temporary_folder())
        self.drafts.append(draft)
        return draft

    def drop(self, draft: Draft) -> None:
        """Give up one draft at once."""
        self.drafts.remove(draft)
        draft.discard()

    def sync(self) -> None:
        """Bring all drafts to the disk. The slow part: call it outside a transaction."""
        if len(self.drafts) == 1:
            self.drafts[0].sync()
        elif self.drafts:
            _at_once(Draft.sync, self.drafts)

    def publish(self, wanted: Collection[str] | None = None) -> None:
        """Move synced drafts to their addresses; `wanted` names them by SHA-256, None means all."""
        folders: set[Path] = set()
        with disk_full_in_words():
            for draft in self.drafts:
                sha256 = draft.stored.sha256
                if wanted is None or sha256 in wanted:
                    target = self.store.path(sha256)
                    if not self.store.exists(sha256):
                        target.parent.mkdir(exist_ok=True)
                        os.rename(draft.path, target)
                        folders |= {target.parent, self.store.root}
            _at_once(sync_folder, folders)


class FileStore:
    """A content-addressed store below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha256: str) -> Path:
        """Where a file with this address lies or would lie. InvalidInputError when it is no address."""
        if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise InvalidInputError("This is not an address of the file store.", "Give 64 hexadecimal digits.")
        return self.root / sha256[:2] / sha256

    def exists(self, sha256: str) -> bool:
        """Whether the file is there, as a regular file."""
        try:
            return stat.S_ISREG(self.path(sha256).lstat().st_mode)
        except FileNotFoundError:
            return False

    def open(self, sha256: str) -> BinaryIO:
        """Open for reading. NotFoundError when it is missing, or is a link or anything but a file."""
        try:
            descriptor = os.open(self.path(sha256), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _missing(sha256) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _missing(sha256) from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _missing(sha256)
        return os.fdopen(descriptor, "rb")

    def verify(self, sha256: str) -> bool:
        """Whether the file is there and its bytes are what its address says. Reads it all."""
        try:
            with self.open(sha256) as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except NotFoundError:
            return False

    def add(self, source: BinaryIO | Path | bytes) -> Stored:
        """Store bytes, a stream from its present position, or a file by its path.

        A path is linked instead of copied where the filesystem allows it, and is read-only from then on.
        UnavailableError when the disk is full; nothing is left behind then.
        """
        if isinstance(source, Path):
            return self._add_path(source)
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        with self.batch() as batch:
            draft = batch.draft()
            while chunk := stream.read(CHUNK):
                draft.write(chunk)
            batch.sync()
            batch.publish()
            return draft.stored

    def batch(self) -> Batch:
        return Batch(self)

    def remove(self, sha256: str) -> int:
        """Delete a file. Returns the bytes freed, 0 when there was none."""
        path = self.path(sha256)
        try:
            size = path.lstat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        return size

    def temporary_folder(self) -> Path:
        folder = self.root / TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def sweep(self, older_than: float = 3600.0) -> int:
        """Remove temporary files that a killed process left, untouched for `older_than` seconds."""
        removed = 0
        for path in self.temporary_folder().iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > older_than:
                    path.unlink()
                    removed += 1
        return removed

    def _add_path(self, source: Path) -> Stored:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InvalidInputError(f"{source.name} is not a regular file.", "Only files can be stored.")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            if self.exists(sha256):
                return Stored(sha256, status.st_size)
            if self._link(source, status, sha256):
                return Stored(sha256, status.st_size)
            file.seek(0)
            return self.add(file)

    def _link(self, source: Path, status: os.stat_result, sha256: str) -> bool:
        """Give the file its second name in the store; False where links are not possible."""
        temporary = self.temporary_folder() / uuid.uuid4().hex
        target = self.path(sha256)
        try:
            with disk_full_in_words():
                os.link(source, temporary, follow_symlinks=False)
                linked = temporary.lstat()
                if (linked.st_ino, linked.st_dev) != (status.st_ino, status.st_dev):
                    return False
                temporary.chmod(MODE)
                sync_file(temporary)
                target.parent.mkdir(exist_ok=True)
                os.rename(temporary, target)
                sync_folder(target.parent)
                sync_folder(self.root)
        except OSError:
            return False  # another filesystem, or one without links: it is copied
        finally:
            temporary.unlink(missing_ok=True)
        return True


class Window(io.RawIOBase):
    """A stretch of an open file, read by position: many windows share one descriptor."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self.descriptor, self.offset, self.length = descriptor, offset, length
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "a position before the start")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: memoryview) -> int:
        wanted = min(len(buffer), max(0, self.length - self.position))
        data = os.pread(self.descriptor, wanted, self.offset + self.position)
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def store() -> FileStore:
    """The hub's own store, at TRAINHUB_HOME/store."""
    from django.conf import settings

    return FileStore(Path(settings.TRAINHUB_HOME) / "store")


@contextmanager
def disk_full_in_words() -> Iterator[None]:
    """A full disk becomes an UnavailableError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise UnavailableError(
                "The disk that holds TrainHub's files is full.",
                "Free some space or delete datasets that are no longer needed, then try again.",
            ) from error
        raise


def _at_once(do: Callable[[T], None], things: Iterable[T]) -> None:
    with ThreadPoolExecutor(SYNC_THREADS) as threads:
        list(threads.map(do, things))


def sync_folder(folder: Path) -> None:
    """Make names in a folder survive a power loss."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(sha256: str) -> NotFoundError:
    return NotFoundError(
        f"The file {sha256[:12]}… is missing from the store.", "Restore the file store from a backup, or import again."
    )

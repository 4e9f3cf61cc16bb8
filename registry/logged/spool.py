"""Where rows of the log wait on the disk while the database is away: a file of lines for each process that answers.

A process holds its file locked while it lives, and empties it itself once the database is back. A file that nobody
holds is one whose process died: whoever sweeps takes it up.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from django.conf import settings

from common.background import QUEUE, put
from registry.logged.rows import Row
from registry.logged.storing import packed, store, unpacked

log = logging.getLogger(__name__)
MAX_BYTES = 1 << 30  # of one process: what comes after that is lost
BATCH = 1_000
LOOK_SECONDS = 5.0
TASK = "registry.tasks.take_up_predictions"
_look_at = 0.0  # monotonic
Store = Callable[[Sequence[Row]], None]


def folder() -> Path:
    return Path(settings.TRAINHUB_HOME) / "predictions"


class Spool:
    """The file of this process; made when it is first needed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.file: BinaryIO | None = None
        self.size = 0

    def append(self, rows: Sequence[Row]) -> None:
        """Rows to the end, safe on the disk when this returns. OSError when there is no room."""
        data = "".join(f"{packed(row)}\n" for row in rows).encode()
        with self.lock:
            if self.size + len(data) > MAX_BYTES:
                log.error("%s predictions are lost: the database is away and the spool is full", len(rows))
                return
            file = self.file or self._opened()
            file.seek(0, os.SEEK_END)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            self.size += len(data)

    def empty(self, into: Store = store) -> int:
        """Store what waits; returns how many rows. Errors of the database leave it waiting."""
        with self.lock:
            if self.file is None or not self.size:
                return 0
            count = _store_lines(self.file, into)
            _truncate(self.file)
            self.size = 0
        return count

    def close(self) -> None:
        """Leave nothing behind where nothing waits; what does is for the sweep."""
        with self.lock:
            if self.file is not None and not self.size:
                Path(self.file.name).with_suffix(".jsonl").unlink(missing_ok=True)
            if self.file is not None:
                self.file.close()
                self.file = None

    def _opened(self) -> BinaryIO:
        folder().mkdir(parents=True, exist_ok=True)
        path = folder() / f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}.jsonl"
        draft = path.with_suffix(".new")
        file = draft.open("a+b")
        draft.chmod(0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(path)  # held before a sweep can see it
        self.file = file
        descriptor = os.open(folder(), os.O_RDONLY)
        os.fsync(descriptor)  # the name of the file, too, survives a loss of power
        os.close(descriptor)
        return self.file


def sweep() -> None:
    """Have files taken up whose processes are gone. Looks at a folder that is empty as a rule."""
    global _look_at
    if time.monotonic() < _look_at:
        return
    _look_at = time.monotonic() + LOOK_SECONDS
    if any(True for _ in _left()):
        put(QUEUE, TASK)


def take_up() -> int:
    """Store what dead processes left and remove their files; returns how many rows."""
    count = 0
    for path, file in _left():
        count += _store_lines(file, store)
        path.unlink(missing_ok=True)
    return count


def _left() -> Iterator[tuple[Path, BinaryIO]]:
    """Files that no process holds, each held by us until the next is asked for."""
    for path in sorted(folder().glob("*.jsonl")) if folder().is_dir() else ():
        with suppress(OSError), path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists():  # else somebody took it up just before
                yield path, file


def _store_lines(file: BinaryIO, into: Store) -> int:
    file.seek(0)
    count = 0
    held: list[Row] = []
    for line in file:
        if (row := unpacked(line.decode("utf-8", "replace"))) is not None:
            held.append(row)
        if len(held) == BATCH:
            into(held)
            count, held = count + len(held), []
    if held:
        into(held)
    return count + len(held)


def _truncate(file: BinaryIO) -> None:
    file.truncate(0)
    file.flush()
    os.fsync(file.fileno())

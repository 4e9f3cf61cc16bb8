"""What the processes of one run tell each other without torch: a few bytes of memory that all of them see.

The launcher makes it as a file without a name and lives longer than every rank, so nothing is left on disk and
what a dead rank said last can still be read. Each field has one writer, and is one byte or is made known by one.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from typing import Any

NAME = "TRAINHUB_BOARD"  # environment variable that tells a rank where the board is: <launcher's pid>:<descriptor>
_HEADER = 64
_SLOT = 1 << 16  # of one rank: process id, whether it left, length of its failure, the failure as JSON
_INTERRUPTED, _CODE = 0, 1
_PID, _LEFT, _LENGTH, _TEXT = 0, 4, 8, 16
_MOST_TEXT = _SLOT - _TEXT


class Board:
    """The board of a run of `size` ranks."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd, self.size = fd, size
        self._memory = mmap.mmap(fd, _HEADER + size * _SLOT)

    @classmethod
    def make(cls, size: int) -> Board:
        """A new board; it lives as long as a process has it open."""
        fd = os.memfd_create("ranks", os.MFD_CLOEXEC)
        os.ftruncate(fd, _HEADER + size * _SLOT)
        return cls(fd, size)

    @classmethod
    def open(cls, address: str, size: int) -> Board:
        """The launcher's board, by the value of the variable `NAME`; OSError when the launcher is gone."""
        launcher, _, number = address.partition(":")
        return cls(os.open(f"/proc/{launcher}/fd/{number}", os.O_RDWR | os.O_CLOEXEC), size)

    @property
    def address(self) -> str:
        """For the environment of the ranks."""
        return f"{os.getpid()}:{self.fd}"

    @property
    def interrupted(self) -> bool:
        """Whether a command that ends the run waits: long work may be given up."""
        return bool(self._memory[_INTERRUPTED])

    def interrupt(self) -> None:
        self._memory[_INTERRUPTED] = 1

    @property
    def code(self) -> int | None:
        """The exit code that rank 0 ended with, None while it has not ended in an orderly way."""
        return self._memory[_CODE] - 1 if self._memory[_CODE] else None

    def end(self, code: int) -> None:
        """Rank 0's last word, after everything that it reports was taken."""
        self._memory[_CODE] = code + 1

    def register(self, rank: int, pid: int) -> None:
        self._memory[self._at(rank, _PID) : self._at(rank, _PID) + 4] = struct.pack("i", pid)

    def pids(self) -> list[int]:
        """The process id of each rank, 0 for one that has not begun."""
        return [struct.unpack_from("i", self._memory, self._at(rank, _PID))[0] for rank in range(self.size)]

    def leave(self, rank: int) -> None:
        """From now on the end of this rank is no accident."""
        self._memory[self._at(rank, _LEFT)] = 1

    def left(self, rank: int) -> bool:
        return bool(self._memory[self._at(rank, _LEFT)])

    def fail(self, rank: int, failure: dict[str, Any]) -> None:
        """Keep the fields of a `failed` event; the launcher reports it when rank 0 reports none."""
        text = json.dumps(failure).encode()
        if len(text) > _MOST_TEXT:
            text = json.dumps({**failure, "message": failure["message"][:2000], "traceback": ""}).encode()[:_MOST_TEXT]
        start = self._at(rank, _TEXT)
        self._memory[start : start + len(text)] = text
        self._memory[self._at(rank, _LENGTH) : self._at(rank, _LENGTH) + 4] = struct.pack("I", len(text))

    def failure(self) -> tuple[int, dict[str, Any]] | None:
        """The lowest rank that failed, and the fields of its event; None when none did."""
        for rank in range(self.size):
            (length,) = struct.unpack_from("I", self._memory, self._at(rank, _LENGTH))
            if length:
                start = self._at(rank, _TEXT)
                return rank, json.loads(self._memory[start : start + length])
        return None

    def _at(self, rank: int, field: int) -> int:
        return _HEADER + rank * _SLOT + field

"""What every source offers: its files in a fixed order, and the bytes of one from any position."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """One file elsewhere. `key` orders the files of a source; `bytes` is None when it is not known before."""

    key: str
    name: str
    bytes: int | None


@dataclass(frozen=True)
class Body:
    """The bytes of a file from `start` on; `validator` tells whether it is the same file when asked again."""

    chunks: Iterable[bytes]
    start: int
    validator: str
    bytes: int | None


class BrokenOffError(Exception):
    """The connection broke in the middle: what came is kept, and the rest asked for again."""


class Remote(Protocol):
    def entries(self, after: str = "") -> Iterator[Entry]:
        """The files whose key comes after `after`, in the order of their keys."""

    def open(self, entry: Entry, start: int, validator: str) -> Body:
        """The bytes from `start` on when the file is still the one of `validator`, else from its beginning."""

"""Decodes the files of a version once, in threads, into memory or, for a large set, into a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from engine.data import Item

IN_MEMORY_BYTES = 1 << 30
AT_ONCE = 64  # items that are decoded ahead of whoever takes them
T = TypeVar("T")


def in_threads(work: Callable[[Item], T], items: Iterable[Item]) -> Iterator[T]:
    """Over all items in order, on all cores: decoding and hashing leave the interpreter's lock alone."""
    items = list(items)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(items), AT_ONCE):
            yield from pool.map(work, items[start : start + AT_ONCE])


def room(shape: tuple[int, ...], scratch: Path) -> np.ndarray:
    """An array of bytes in memory, or, for a large set, in a file without a name: it can't outlive the run."""
    size = int(np.prod(shape))
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(dir=scratch) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, and no crash later
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)

"""Finding items that are alike without comparing each with each: candidates by parts of hashes, then a closer look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MOST_NEIGHBOURS = 24  # of equal keys that one item is compared with, so that a crowd of equals costs no square
BANDS = 32  # of a MinHash
CHUNKS = 4  # of a 64-bit hash: two hashes that differ in 7 bits agree but for one bit in one of them


class Groups:
    """Sets of items that are alike, by their places; each set is known by its lowest place."""

    def __init__(self, count: int) -> None:
        self.leader = list(range(count))

    def of(self, place: int) -> int:
        """The lowest place of the set."""
        while self.leader[place] != place:
            self.leader[place] = self.leader[self.leader[place]]
            place = self.leader[place]
        return place

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.of(one), self.of(other)))
        self.leader[high] = low


def equal(keys: np.ndarray, most: int = MOST_NEIGHBOURS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places with the same key, each place with at most `most` that follow it."""
    import numpy as np

    order = np.argsort(keys, kind="stable")
    arranged = keys[order]
    for apart in range(1, min(most, len(keys) - 1) + 1):
        same = arranged[apart:] == arranged[:-apart]
        if not same.any():
            return
        yield order[:-apart][same], order[apart:][same]


def exact(digests: np.ndarray) -> Groups:
    """Groups of equal digests, however large."""
    groups = Groups(len(digests))
    for first, second in equal(digests, 1):
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            groups.join(one, other)
    return groups


def bands(signatures: np.ndarray) -> np.ndarray:
    """One key a band of each MinHash: rows of uint64."""
    import numpy as np

    rows = signatures.reshape(len(signatures), BANDS, -1).astype(np.uint64)
    keys = np.zeros(rows.shape[:2], np.uint64)
    with np.errstate(over="ignore"):
        for part in range(rows.shape[2]):
            keys = (keys ^ rows[:, :, part]) * np.uint64(0x9E3779B97F4A7C15)
            keys ^= keys >> np.uint64(31)
    return keys


def by_bands(keys: np.ndarray) -> Iterator[tuple[int, int]]:
    """Candidates among MinHashes: pairs that agree in a band, each once."""
    yield from _once(pairs for band in range(keys.shape[1]) for pairs in equal(keys[:, band]))


def by_bits(hashes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Pairs of 64-bit hashes that differ in at most `most` (up to 7) bits, each once."""
    yield from _once(_near_bits(hashes, most))


def _near_bits(hashes: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import numpy as np

    for chunk in range(CHUNKS):
        keys = ((hashes >> np.uint64(16 * chunk)) & np.uint64(0xFFFF)).astype(np.int32)
        order = np.argsort(keys, kind="stable")
        arranged = keys[order]
        for mask in (0, *(1 << bit for bit in range(16))):
            start = np.searchsorted(arranged, keys ^ mask, "left")
            count = np.minimum(np.searchsorted(arranged, keys ^ mask, "right") - start, 8 * MOST_NEIGHBOURS)
            for apart in range(int(count.max(initial=0))):
                one = np.flatnonzero(count > apart)
                other = order[start[one] + apart]
                near = (one < other) & (np.bitwise_count(hashes[one] ^ hashes[other]) <= most)
                yield one[near], other[near]


def _once(pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[int, int]]:
    seen: set[tuple[int, int]] = set()
    for first, second in pairs:
        for one, other in zip(first.tolist(), second.tolist(), strict=True):
            pair = (one, other) if one < other else (other, one)
            if pair[0] != pair[1] and pair not in seen:
                seen.add(pair)
                yield pair


def near(groups: Groups, candidates: Iterator[tuple[int, int]], alike: Callable[[int, int], bool]) -> None:
    """Join the candidates that a closer look finds alike. A chain of small steps does not join its ends: the first
    of each group must be alike, too."""
    for one, other in candidates:
        first, second = groups.of(one), groups.of(other)
        if first == second or not alike(one, other):
            continue
        if (first, second) == (one, other) or alike(first, second):
            groups.join(one, other)

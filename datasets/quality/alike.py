"""Finding items that are alike without comparing each with each: candidates by parts of hashes, then a closer look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MOST_LOOKS = 16  # of the candidates of one item, the nearest, that are looked at more closely
ESTIMATED = 1 << 16  # pairs whose signs are compared at a time
GATHERED = 1 << 20  # candidates that are gathered before all but the nearest are dropped
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


def by_bands(keys: np.ndarray, signs: np.ndarray, least: int, beat: Callable[[], None]) -> np.ndarray:
    """Candidates among MinHashes: pairs that agree in a band, and in `least` of their signs (rows of uint8).

    Of a crowd that agrees in nearly everything each gets its nearest few: rows of two places, the lower one first, in
    the order of the higher one.
    """
    import numpy as np

    nearest = Nearest(len(keys))
    for band in range(keys.shape[1]):
        for first, second in equal(keys[:, band]):
            for start in range(0, len(first), ESTIMATED):
                one, other = first[start : start + ESTIMATED], second[start : start + ESTIMATED]
                agreed = np.count_nonzero(signs[one] == signs[other], axis=1)
                near = agreed >= least
                nearest.add(one[near], other[near], agreed[near])
                beat()
    return nearest.pairs()


def by_bits(hashes: np.ndarray, most: int, beat: Callable[[], None]) -> np.ndarray:
    """Candidates among 64-bit hashes: pairs that differ in at most `most` (up to 7) bits, as of `by_bands`."""
    import numpy as np

    nearest = Nearest(len(hashes))
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
                differing = np.bitwise_count(hashes[one] ^ hashes[other])
                near = (one < other) & (differing <= most)
                nearest.add(one[near], other[near], 64 - differing[near])
                beat()
    return nearest.pairs()


class Nearest:
    """Of all pairs that are added, for each place the `MOST_LOOKS` nearest before it, in memory that has a bound."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._parts: list[np.ndarray] = []  # rows: lower place, higher place, nearness
        self._waiting = 0

    def add(self, one: np.ndarray, other: np.ndarray, nearness: np.ndarray) -> None:
        """Pairs of places, and how near they are: the more the nearer."""
        import numpy as np

        if not len(one):
            return
        self._parts.append(np.stack([np.minimum(one, other), np.maximum(one, other), nearness.astype(np.int64)], 1))
        self._waiting += len(one)
        if self._waiting > max(GATHERED, 2 * MOST_LOOKS * self.count):
            self._trim()

    def pairs(self) -> np.ndarray:
        self._trim()
        return self._parts[0][:, :2]

    def _trim(self) -> None:
        import numpy as np

        rows = np.concatenate([np.zeros((0, 3), np.int64), *self._parts])
        rows = rows[np.unique(rows[:, 1] * self.count + rows[:, 0], return_index=True)[1]]
        rows = rows[np.lexsort((rows[:, 0], -rows[:, 2], rows[:, 1]))]
        firsts = np.searchsorted(rows[:, 1], rows[:, 1], "left")
        self._parts = [rows[np.arange(len(rows)) - firsts < MOST_LOOKS]]
        self._waiting = 0


def near(groups: Groups, candidates: Iterable[tuple[int, int]], alike: Callable[[int, int], bool]) -> None:
    """Join the candidates that a closer look finds alike. A chain of small steps does not join its ends: the first
    of each group must be alike, too."""
    for one, other in candidates:
        first, second = groups.of(one), groups.of(other)
        if first == second or not alike(one, other):
            continue
        if (first, second) == (one, other) or alike(first, second):
            groups.join(one, other)

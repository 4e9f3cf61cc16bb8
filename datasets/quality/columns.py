"""What is looked at in one column of a table, a row group at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datasets.quality import personal as people

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

SAMPLE = 100_000  # numbers of a column from which its limits are taken
ENOUGH = 30
FAR = 12.0  # widths (three quarters to one quarter) beyond the outer percentiles
LEAP = 10.0  # times the largest of 99.9 % of the steps
RARE = 0.002  # of the rows: what is more frequent is the column's nature
LONG = 20_000  # characters of a cell that are looked at


def is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(plain) or pa.types.is_large_string(plain)


class Constant:
    """Whether a column says the same in every row that has a value."""

    def __init__(self) -> None:
        self.value: Any = None
        self.holds = True

    def add(self, column: pa.Array) -> None:
        if not self.holds:
            return
        distinct = column.drop_null().unique()
        if len(distinct) > 1 or (len(distinct) and self.value is not None and distinct[0] != self.value):
            self.holds = False
        elif len(distinct):
            self.value = distinct[0]


def hashes(column: pa.Array) -> np.ndarray:
    """A number for each cell, equal for equal cells: uint64."""
    import hashlib

    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode(null_encoding="encode")
    words = coded.dictionary
    if is_number(words.type) and not pa.types.is_decimal(words.type):
        known = np.nan_to_num(words.to_numpy(zero_copy_only=False).astype(np.float64), nan=-0.125).view(np.uint64)
    else:
        texts = pc.cast(words, pa.string(), safe=False).to_pylist() if not is_text(words.type) else words.to_pylist()
        made = (hashlib.blake2b(str(text).encode("utf-8", "replace"), digest_size=8).digest() for text in texts)
        known = np.frombuffer(b"".join(made), np.uint64)
    places = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.append(known, np.uint64(0x5EED))[places]


def mixed(before: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Hashes of rows, with one more column."""
    import numpy as np

    with np.errstate(over="ignore"):
        made = (before ^ more) * np.uint64(0x9E3779B97F4A7C15)
        made ^= made >> np.uint64(32)
        return made * np.uint64(0xBF58476D1CE4E5B9)


def instants(column: pa.Array) -> np.ndarray:
    """Time stamps in nanoseconds; the lowest number stands for none."""
    import numpy as np

    moments = column.to_numpy(zero_copy_only=False).astype("datetime64[ns]")
    return moments.astype(np.int64)  # NaT is the lowest number


def floats(column: pa.Array) -> np.ndarray:
    """Numbers as float64; nan for none."""
    import numpy as np
    import pyarrow as pa

    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


@dataclass
class Limits:
    """Between what a column's numbers usually lie, and how far they usually step from one row to the next."""

    low: float
    high: float
    step: float  # infinite where steps mean nothing

    def outside(self, values: np.ndarray) -> list[int]:
        import numpy as np

        return np.flatnonzero((values < self.low) | (values > self.high)).tolist()

    def leaps(self, values: np.ndarray) -> list[int]:
        import numpy as np

        return (np.flatnonzero(np.abs(np.diff(values)) > self.step) + 1).tolist()


class Numbers:
    """A sample of a column's numbers (every so manieth) and of its steps, from which limits are taken."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.steps: list[np.ndarray] = []
        self.every = 1
        self.kept = 0

    def add(self, column: pa.Array) -> None:
        import numpy as np

        values = floats(column)
        self.parts.append(values[:: self.every])
        self.steps.append(np.abs(np.diff(values))[:: self.every])
        self.kept += len(self.parts[-1])
        while self.kept > SAMPLE:
            self.parts, self.steps = [part[::2] for part in self.parts], [part[::2] for part in self.steps]
            self.every *= 2
            self.kept = sum(map(len, self.parts))

    def limits(self, ordered: bool) -> Limits | None:
        """None where there are too few numbers, or too few different ones: codes and flags have no outliers."""
        import numpy as np

        values = np.concatenate(self.parts)
        values = values[np.isfinite(values)]
        if len(values) < ENOUGH or len(np.unique(values)) < ENOUGH:
            return None
        lowest, quarter, threequarters, highest = np.quantile(values, [0.005, 0.25, 0.75, 0.995])
        width = max(threequarters - quarter, (highest - lowest) / 4)
        low, high = lowest - FAR / 4 * width, highest + FAR / 4 * width
        if ((values < low) | (values > high)).mean() > RARE:
            low, high = -np.inf, np.inf  # its tails are long by nature
        return Limits(low, high, self._leap(ordered))

    def _leap(self, ordered: bool) -> float:
        import numpy as np

        steps = np.concatenate(self.steps)
        steps = steps[np.isfinite(steps)]
        if not ordered or len(steps) < 10 * ENOUGH:
            return float("inf")
        leap = LEAP * float(np.quantile(steps, 0.995))
        return leap if leap > 0 and (steps > leap).mean() <= RARE else float("inf")


def personal(column: pa.Array, name: str, beat: Callable[[], None]) -> Iterator[tuple[int, dict[str, int]]]:
    """(row, kinds) for each cell that holds personal data; each distinct text is looked at once."""
    kinds_of = _kinds_in_numbers if is_number(column.type) else _kinds_in_text
    if kinds_of is _kinds_in_text and not is_text(column.type):
        return
    words, places = _distinct(column)
    kinds = kinds_of(words, beat)
    if any(kinds):
        for row, place in enumerate(places):
            if place >= 0 and kinds[place]:
                yield row, kinds[place]


def garbled(column: pa.Array, count: Callable[[str], int]) -> Iterator[int]:
    """Rows whose text was read in the wrong encoding."""
    if is_text(column.type):
        words, places = _distinct(column)
        bad = [count(word) > 0 for word in words]
        if any(bad):
            yield from (row for row, place in enumerate(places) if place >= 0 and bad[place])


def _distinct(column: pa.Array) -> tuple[list[Any], list[int]]:
    """The different values of a column, and for each row which it has (-1 for none)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return coded.dictionary.to_pylist(), pc.fill_null(coded.indices, -1).to_pylist()


def _kinds_in_text(words: list[Any], beat: Callable[[], None]) -> list[dict[str, int]]:
    found = []
    for word in words:
        beat()
        found.append(dict(people.kinds_in(word[:LONG], "en")) if word and len(word) > 5 else {})
    return found


def _kinds_in_numbers(words: list[Any], beat: Callable[[], None]) -> list[dict[str, int]]:
    """Card numbers, where nearly all numbers of the column are such: one in ten of any long numbers is by chance."""
    texts = [str(word) if isinstance(word, int) else "" for word in words]
    are = [people.is_card(text) for text in texts]
    beat()
    return [{"card": 1} if one else {} for one in are] if words and sum(are) > 0.8 * len(words) else [{} for _ in words]

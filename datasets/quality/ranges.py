"""Rows of a table as a sorted list of [first, after the last], which stays small where rows lie side by side."""

from __future__ import annotations

from collections.abc import Iterable

Ranges = list[list[int]]


def merged(parts: Iterable[list[int]]) -> Ranges:
    """The same rows in order, without overlaps."""
    made: Ranges = []
    for start, end in sorted(parts):
        if made and start <= made[-1][1]:
            made[-1][1] = max(made[-1][1], end)
        else:
            made.append([start, end])
    return made


def of_rows(rows: Iterable[int]) -> Ranges:
    """Rows that come in order, however many."""
    made: Ranges = []
    for row in rows:
        if made and row <= made[-1][1]:
            made[-1][1] = max(made[-1][1], row + 1)
        else:
            made.append([row, row + 1])
    return made


def count(parts: Ranges) -> int:
    return sum(end - start for start, end in parts)


def holds(parts: Ranges, row: int) -> bool:
    return any(start <= row < end for start, end in parts)

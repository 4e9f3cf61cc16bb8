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


def count(parts: Ranges) -> int:
    return sum(end - start for start, end in parts)


def rows_of(parts: Ranges) -> list[int]:
    return [row for start, end in parts for row in range(start, end)]


def holds(parts: Ranges, row: int) -> bool:
    return any(start <= row < end for start, end in parts)

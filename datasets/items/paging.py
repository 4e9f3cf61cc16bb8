"""Pages of items that are found by key, in an order that an index has, stretch by stretch where a filter has none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import BooleanField, F, Func, Q, QuerySet, Value
from django.db.models.sql.compiler import SQLCompiler

from datasets.models import Item

BUDGET = 0.05  # seconds of looking for one page
FIRST_STRETCH, LONGEST_STRETCH = 2_000, 32_000


@dataclass(frozen=True)
class Segment:
    """A run of items in the order of an index: `columns` are its key, `only` what all of them have."""

    name: str
    only: Q
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Cursor:
    """A place between items: the key of the item beside it, in a segment."""

    segment: str
    key: tuple[int, ...]

    def __str__(self) -> str:
        return "-".join([self.segment, *map(str, self.key)])

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """None for what is no cursor."""
        name, *parts = text[:60].split("-")
        if not parts or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
            return None
        return cls(name, tuple(map(int, parts)))


@dataclass
class Slice:
    """One page. `after` and `before` lead to its neighbours. `looked`: the time was up before it was full."""

    items: list[Item] = field(default_factory=list)
    after: Cursor | None = None
    before: Cursor | None = None
    looked: bool = False


@dataclass(frozen=True)
class Source:
    """What is walked: `base` in order, and the part of it that fits. `indexed`: an index finds that part itself.

    `shown` makes of plain items what a page shows; it is asked for the items of the page alone.
    """

    base: QuerySet[Item]
    fitting: QuerySet[Item]
    indexed: bool
    shown: Callable[[QuerySet[Item]], QuerySet[Item]] = lambda items: items


class Beside(Func):
    """(column, …) > (value, …): one comparison of rows, which an index answers whatever many share the first value."""

    output_field = BooleanField()

    def __init__(self, columns: tuple[str, ...], key: tuple[int, ...], sign: str) -> None:
        super().__init__(*map(F, columns), *map(Value, key))
        self.sign = sign

    def as_sql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> tuple[str, list[Any]]:
        parts = [compiler.compile(part) for part in self.source_expressions]
        texts = [text for text, _ in parts]
        half = len(texts) // 2
        sql = f"({', '.join(texts[:half])}) {self.sign} ({', '.join(texts[half:])})"
        return sql, [one for _, given in parts for one in given]


def walk(
    source: Source, segments: list[Segment], *, descending: bool, after: str = "", before: str = "", size: int
) -> Slice:
    """The `size` items after a cursor, or before one. A cursor of another order begins at the start."""
    backward = bool(before) and not after
    start = _known(Cursor.read(before if backward else after), segments)
    run = _Run(source, descending != backward, size + 1)
    ordered = segments[::-1] if backward else segments
    names = [segment.name for segment in ordered]
    for segment in ordered[names.index(start.segment) if start else 0 :]:
        run.through(segment, start.key if start and start.segment == segment.name else None)
        if run.full or run.stopped:
            break
    return _slice(run, size, backward, start is not None)


def _known(cursor: Cursor | None, segments: list[Segment]) -> Cursor | None:
    fits = cursor and any(one.name == cursor.segment and len(one.columns) == len(cursor.key) for one in segments)
    return cursor if fits else None


def _slice(run: _Run, size: int, backward: bool, continued: bool) -> Slice:
    more = len(run.items) > size
    kept = run.items[:size]
    ahead = _key(*kept[-1]) if more else run.stopped
    behind = _key(*kept[0]) if kept and continued else None
    if backward:
        kept.reverse()
        # Where the walk began there are items still, since it came from there.
        ahead, behind = _key(*kept[-1]) if kept else None, ahead
    return Slice([item for _, item in kept], ahead, behind, run.stopped is not None and not more)


def _key(segment: Segment, item: Item) -> Cursor:
    return Cursor(segment.name, tuple(getattr(item, column) for column in segment.columns))


class _Run:
    """A walk through segments until there are enough items, or the time is up."""

    def __init__(self, source: Source, descending: bool, wanted: int) -> None:
        self.source, self.descending, self.wanted = source, descending, wanted
        self.items: list[tuple[Segment, Item]] = []
        self.stopped: Cursor | None = None  # where the time was up
        self.until = time.monotonic() + BUDGET
        self.stretch = FIRST_STRETCH

    @property
    def full(self) -> bool:
        return len(self.items) >= self.wanted

    def through(self, segment: Segment, key: tuple[int, ...] | None) -> None:
        """Collect what fits in this segment after `key`."""
        beyond, upto = ("<", ">=") if self.descending else (">", "<=")
        order = [f"-{column}" if self.descending else column for column in segment.columns]
        base = self.source.base.filter(segment.only).order_by(*order)
        fitting = self.source.fitting.filter(segment.only).order_by(*order)
        while True:
            here = Beside(segment.columns, key, beyond) if key else Q()
            rows, end = fitting.filter(here), None
            if not self.source.indexed:
                place = base.filter(here).values_list(*segment.columns)
                end = next(iter(place[self.stretch - 1 : self.stretch]), None)
            if end is not None:
                rows = rows.filter(Beside(segment.columns, end, upto))
            ids = list(rows.values_list("pk", flat=True)[: self.wanted - len(self.items)])
            found = self.source.shown(Item.objects.filter(pk__in=ids)).in_bulk() if ids else {}
            self.items += [(segment, found[pk]) for pk in ids if pk in found]
            if self.full or end is None:
                return
            if time.monotonic() > self.until:
                self.stopped = Cursor(segment.name, end)
                return
            key = end
            self.stretch = min(2 * self.stretch, LONGEST_STRETCH)

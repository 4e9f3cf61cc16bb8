"""Pages of sessions, found by the row beside them and not by number: the last costs as much as the first.

What no index answers is looked for stretch by stretch, for a limited time: a page may then hold fewer sessions than
asked for, or none, and says where to go on.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from datasets.items.paging import FIRST_STRETCH, LONGEST_STRETCH, Beside
from history.models import Session

BUDGET = 0.06  # seconds of looking for one page
SHORTEST_STRETCH = 500
Key = tuple[Any, int]


@dataclass(frozen=True)
class Source:
    """What is walked: `base` in the order of an index, and the part of it that fits. `indexed`: an index finds that."""

    base: QuerySet[Session]
    fitting: QuerySet[Session]
    indexed: bool


@dataclass
class Slice:
    """The ids of one page. `after` and `before` are ids that lead to its neighbours. `looked`: the time was up."""

    ids: list[int] = field(default_factory=list)
    after: int | None = None
    before: int | None = None
    looked: bool = False


def walk(
    source: Source, column: str, *, descending: bool, after: int | None = None, before: int | None = None, size: int
) -> Slice:
    """The `size` sessions after one, or before one, by `column`, which none of them lacks, then by id.

    A session that is not among them begins at the start.
    """
    backward = before is not None and after is None
    start = _key(source.base, column, before if backward else after)
    down = descending != backward
    found, stopped = _found(source, column, start, down, size + 1)
    more = len(found) > size
    ids = found[:size]
    ahead = ids[-1] if more else stopped
    behind = ids[0] if ids and start is not None else None
    if backward:
        ids.reverse()
        # Where the walk began there are sessions still, since it came from there.
        ahead, behind = ids[-1] if ids else None, ids[0] if more else stopped
    return Slice(ids, ahead, behind, stopped is not None and not more)


def _found(source: Source, column: str, key: Key | None, down: bool, wanted: int) -> tuple[list[int], int | None]:
    """(ids in order, the id of the session at which the time was up or None)."""
    if source.indexed:
        return list(_beyond(source.fitting, column, key, down).values_list("pk", flat=True)[:wanted]), None
    ids: list[int] = []
    stretch, begun = FIRST_STRETCH, time.monotonic()
    until = begun + BUDGET
    while True:
        last = _beyond(source.base, column, key, down).values_list(column, "pk")[stretch - 1 : stretch].first()
        found = _beyond(source.fitting, column, key, down)
        if last is not None:
            found = found.filter(Beside((column, "id"), last, ">=" if down else "<="))
        ids += found.values_list("pk", flat=True)[: wanted - len(ids)]
        if last is None or len(ids) >= wanted:
            return ids, None
        now = time.monotonic()
        if now >= until:
            return ids, last[1]
        # As many as are likely to be looked through in the time that is left, so that it is hardly overdrawn.
        likely = int(stretch * (until - now) / max(now - begun, 1e-6))
        key, stretch, begun = last, max(SHORTEST_STRETCH, min(2 * stretch, likely, LONGEST_STRETCH)), now


def _beyond(rows: QuerySet[Session], column: str, key: Key | None, down: bool) -> QuerySet[Session]:
    rows = rows.order_by(*([f"-{column}", "-id"] if down else [column, "id"]))
    return rows if key is None else rows.filter(Beside((column, "id"), key, "<" if down else ">"))


def _key(rows: QuerySet[Session], column: str, pk: int | None) -> Key | None:
    return None if pk is None else rows.filter(pk=pk).values_list(column, "pk").first()

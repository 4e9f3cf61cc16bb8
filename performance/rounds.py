"""What is looked at again and again: so many rows at a time, each in its turn, or by one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from django.db import DatabaseError, connection
from django.db.models import Model, QuerySet

AT_ONCE = 200
Row = TypeVar("Row", bound=Model)


class Rounds:
    """Where this process stands; another one begins at the start, and all come round."""

    def __init__(self, most: int | None = None) -> None:
        """`most` None: AT_ONCE."""
        self.after, self.most = 0, most

    def next(self, rows: QuerySet[Row]) -> list[Row]:
        """The next ones; after the last the first again."""
        most = self.most or AT_ONCE
        found = list(rows.filter(pk__gt=self.after).order_by("pk")[:most])
        self.after = found[-1].pk if len(found) == most else 0
        return found

    def left_after(self, row: Model) -> None:
        """The round ended early, after this row: the next one begins behind it."""
        self.after = row.pk


@contextmanager
def alone(lock: int) -> Iterator[bool]:
    """Whether no other process is within this now, by a number of its own; none comes in before it is left."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])

"""Which logged rows are looked at: a stretch of time of a model, or a sample of it of bounded size.

A model may have ten million predictions. Their ids lie in the order of time, so the ends of a stretch are found in the
index, and a sample is drawn from the index by the last digits of the ids, which are chance: the same rows each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Func, IntegerField, QuerySet

from common.identifiers import least_at
from registry.models import Outcome, Prediction

SAMPLE = 20_000  # rows of each side at most
SLACK = timedelta(minutes=10)  # that an id's time may differ from the row's
DIGITS = 7  # of an id, in hexadecimal
PATIENCE_SECONDS = 120
SPARE = 1.2  # of the rows that a sample takes from the index, so that there are enough


class Chance(Func):
    """A number from 0 to 16 ** DIGITS − 1 that depends on nothing but the id."""

    template = f"('x' || right(%(expressions)s::text, {DIGITS}))::bit({4 * DIGITS})::int"
    output_field = IntegerField()


@dataclass(frozen=True)
class Window:
    """What was logged of a model, or of one version of it, from `since` on and before `until`."""

    model_id: int
    version_id: int | None
    since: datetime
    until: datetime

    def predictions(self, *fields: str) -> Sample:
        ids = self._of(Prediction.objects.all()).filter(
            pk__gte=least_at(self.since - SLACK), pk__lt=least_at(self.until + SLACK)
        )
        inside = Prediction.objects.filter(at__gte=self.since, at__lt=self.until)
        if self.version_id is None:  # a shadow answers what another has answered
            inside = inside.filter(shadow_of=None)
        return Sample(ids, inside, fields)

    def outcomes(self, *fields: str) -> Sample:
        ids = self._of(Outcome.objects.all()).filter(at__gte=self.since, at__lt=self.until)
        return Sample(ids, Outcome.objects.all(), fields)

    def _of(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        rows = rows.order_by()
        return rows.filter(model=self.model_id) if self.version_id is None else rows.filter(version=self.version_id)


@dataclass(frozen=True)
class Sample:
    """Some fields of at most SAMPLE rows."""

    ids: QuerySet[Any]
    inside: QuerySet[Any]
    fields: tuple[str, ...]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        with transaction.atomic():
            with connection.cursor() as cursor:  # a page may not wait that long, a worker may
                cursor.execute(f"SET LOCAL statement_timeout = '{PATIENCE_SECONDS}s'")
            yield from self._rows()

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        count = self.ids.count()
        chosen = self.ids.values("pk")
        if count > SAMPLE:
            chance = Chance(F("pk"))
            below = int(16**DIGITS * min(1.0, SPARE * SAMPLE / count))
            chosen = self.ids.annotate(chance=chance).filter(chance__lt=below).order_by("chance")[:SAMPLE].values("pk")
        # In an order that does not depend on the plan, since what is found must not either.
        return self.inside.filter(pk__in=chosen).order_by("pk").values_list(*self.fields).iterator(2000)


def newest_before(rows: QuerySet[Any], count: int) -> datetime | None:
    """When the `count`-th newest of the rows was; of fewer, when the oldest was; None where there are none."""
    return _at(rows.order_by("-pk") if rows.model is Prediction else rows.order_by("-at"), count)


def first_after(rows: QuerySet[Any], count: int) -> datetime | None:
    """When the `count`-th oldest of the rows was; of fewer, when the newest was; None where there are none."""
    return _at(rows.order_by("pk") if rows.model is Prediction else rows.order_by("at"), count)


def _at(rows: QuerySet[Any], count: int) -> datetime | None:
    place = list(rows.values_list("at", flat=True)[count - 1 : count])
    if place:
        return place[0]
    return rows.reverse().values_list("at", flat=True).first()

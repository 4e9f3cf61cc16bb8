"""Logged predictions, page by page: found by the id beside them, so the last page costs as much as the first.

What no index answers (a group, no outcome) is looked for stretch by stretch for a limited time: a page may then hold
fewer than asked for, or none, and says where to go on. Nothing is ever counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet

from common.errors import InvalidInputError
from common.identifiers import least_at
from registry.access import Action, get_model, models_for, require
from registry.logged.outcomes import not_there
from registry.models import Model, Outcome, Prediction

BUDGET = 0.06  # seconds of looking for one page
FIRST_STRETCH, LONGEST_STRETCH = 1_000, 32_000
PART = 1_000  # predictions of a download that are read at once …
WHOLE_PART = 100  # … with their inputs, of up to 64 KiB each


@dataclass(frozen=True)
class Wanted:
    """Which predictions of a model; None and '' leave a filter out. `wrong`: classes that were not the true ones."""

    model: Model
    version: int | None = None
    group: str = ""
    since: datetime | None = None
    until: datetime | None = None  # not included
    has_outcome: bool | None = None
    wrong: bool = False


@dataclass
class Slice:
    """One page, newest first. `after` and `before` lead to its neighbours. `looked`: the time was up."""

    rows: list[Prediction] = field(default_factory=list)
    after: UUID | None = None
    before: UUID | None = None
    looked: bool = False


def wanted(user: AbstractBaseUser, model: int | str, **filters: Any) -> Wanted:
    """The filters, for a model whose predictions this person may see: else NotFoundError or ForbiddenError."""
    found = get_model(user, model)
    require(user, Action.SEE_PREDICTIONS, found)
    made = Wanted(found, **filters)
    if made.since and made.until and made.since > made.until:
        raise InvalidInputError(
            "The period ends before it starts.", "Swap from and to.", fields={"to": ["Must not be before from."]}
        )
    return made


def get_prediction(user: AbstractBaseUser, pk: UUID) -> Prediction:
    """One prediction with all that is kept of it; NotFoundError or ForbiddenError as of its model."""
    found = _shown().filter(pk=pk, model__in=models_for(user)).first()
    if found is None:
        raise not_there(pk)
    require(user, Action.SEE_PREDICTIONS, found.model)
    return found


def page(
    asked: Wanted, *, after: UUID | None = None, before: UUID | None = None, size: int = 50, whole: bool = False
) -> Slice:
    """The `size` predictions after one in the list, or before one; `whole`: with inputs, which may be long."""
    backward = before is not None and after is None
    start = before if backward else after
    ids, stopped = _walk(asked, start, not backward, size + 1)
    more = len(ids) > size
    ids = ids[:size]
    ahead = ids[-1] if more else stopped
    behind = ids[0] if ids and start is not None else None
    if backward:
        ids.reverse()
        # Where the walk began there are predictions still, since it came from there.
        ahead, behind = (ids[-1] if ids else start), (ids[0] if more else stopped)
    rows = _shown().filter(pk__in=ids)
    found = {row.pk: row for row in (rows if whole else rows.defer("input"))}
    return Slice([found[pk] for pk in ids if pk in found], ahead, behind, stopped is not None and not more)


def every(asked: Wanted, whole: bool = False) -> Iterator[Prediction]:
    """All of them, newest first, some at a time; `whole` as of `page`."""
    after: UUID | None = None
    while True:
        part = page(asked, after=after, size=WHOLE_PART if whole else PART, whole=whole)
        yield from part.rows
        if part.after is None:
            return
        after = part.after


def groups_of(model: Model, most: int = 20) -> list[str]:
    """Groups among the newest predictions, for a choice."""
    newest = Prediction.objects.filter(model=model).order_by("-id").values_list("group", flat=True)[:PART]
    return sorted(set(newest) - {""})[:most]


def _walk(asked: Wanted, start: UUID | None, down: bool, count: int) -> tuple[list[UUID], UUID | None]:
    """(ids in order, the id at which the time was up or None)."""
    base, fitting, key, indexed = _sources(asked)
    order = f"{'-' if down else ''}{key}"
    beyond, upto = (f"{key}__lt", f"{key}__gte") if down else (f"{key}__gt", f"{key}__lte")
    base, fitting = base.order_by(order), fitting.order_by(order)
    ids: list[UUID] = []
    stretch, until = FIRST_STRETCH, time.monotonic() + BUDGET
    while True:
        here = {beyond: start} if start else {}
        rows, last = fitting.filter(**here), None
        if not indexed:
            last = base.filter(**here).values_list(key, flat=True)[stretch - 1 : stretch].first()
            rows = rows.filter(**{upto: last}) if last else rows
        ids += rows.values_list(key, flat=True)[: count - len(ids)]
        if last is None or len(ids) >= count:
            return ids, None
        if time.monotonic() >= until:
            return ids, last
        start, stretch = last, min(2 * stretch, LONGEST_STRETCH)


def _sources(asked: Wanted) -> tuple[QuerySet[Any], QuerySet[Any], str, bool]:
    """(rows in the order of an index, those that fit, the column of their ids, whether an index finds these)."""
    if asked.wrong or asked.has_outcome:
        base = _between(Outcome.objects.filter(model=asked.model), "prediction_id", asked)
        fitting = base.filter(correct=False) if asked.wrong else base
        fitting = fitting.filter(version=asked.version) if asked.version else fitting
        key, indexed = "prediction_id", fitting is base
    else:
        of = {"version": asked.version, "model": asked.model} if asked.version else {"model": asked.model}
        base = _between(Prediction.objects.filter(**of), "id", asked)
        fitting = base.filter(outcome=None) if asked.has_outcome is False else base
        key, indexed = "id", fitting is base
    if asked.group:
        fitting, indexed = fitting.filter(group=asked.group), False
    return base, fitting, key, indexed


def _between(rows: QuerySet[Any], key: str, asked: Wanted) -> QuerySet[Any]:
    if asked.since:
        rows = rows.filter(**{f"{key}__gte": least_at(asked.since)})
    if asked.until:
        rows = rows.filter(**{f"{key}__lt": least_at(asked.until)})
    return rows


def _shown() -> QuerySet[Prediction]:
    rows = Prediction.objects.select_related("model__owner", "version", "arm", "user", "outcome__user")
    return rows.defer("model__owner__password", "user__password", "outcome__user__password")

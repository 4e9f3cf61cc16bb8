"""Looking through the history: filters, order, pages, totals. Pages cost the same wherever they lie.

Totals that the sums of each day can answer are exact; others are counted up to 10,000.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet, Sum

from common.access import visible
from datasets.items.browse import COUNTED, RARE, Total
from datasets.items.paging import FIRST_STRETCH
from history import filters, statistics
from history.filters import DAILY, EQUAL, Filters
from history.models import Session
from history.paging import Slice, Source, walk

PAGE, MAX_PAGE = 25, 200
LOOKED_THROUGH = 20_000
# What a list can be sorted by: its column, and what the sessions listed then have.
SORTS: dict[str, tuple[str, Q]] = {
    "started": ("started_at", Q()),
    "name": ("name", Q()),
    "time": ("total_seconds", Q(total_seconds__isnull=False)),
    "quality": ("quality_average", Q(quality_average__isnull=False)),
    "examples": ("examples_successful", Q(examples_successful__isnull=False)),
    "cost": ("cost", Q(cost__isnull=False)),
}
NEWEST = "-started"
SORT_NAMES = tuple(prefix + name for name in SORTS for prefix in ("-", ""))


@dataclass(frozen=True)
class Figures:
    """Totals over the sessions that fit; when `partial`, over the newest 10,000 of them."""

    totals: dict[str, Any]
    partial: bool = False


def page(
    viewer: AbstractBaseUser, wanted: Filters, *, sort: str = NEWEST, after: int | None = None,
    before: int | None = None, size: int = PAGE,
) -> Slice:  # fmt: skip
    """The ids of one page. An unknown sort is the default one."""
    sort = sort if sort in SORT_NAMES else NEWEST
    column, only = SORTS[sort.removeprefix("-")]
    source = _source(viewer, wanted, column, only)
    return walk(source, column, descending=sort.startswith("-"), after=after, before=before, size=min(size, MAX_PAGE))


def total(viewer: AbstractBaseUser, wanted: Filters, sort: str = NEWEST, known: Figures | None = None) -> Total:
    """How many sessions the list holds: exactly, or up to 10,000, or within the first stretch of what no index has.

    `known` are the figures of the same filters, where they were asked for before.
    """
    column, only = SORTS.get(sort.removeprefix("-"), SORTS["started"])
    if known is not None and not only:
        return Total(known.totals["sessions"], not known.partial)
    if not only and wanted.active() <= DAILY:
        return Total(statistics.days(viewer, wanted).aggregate(all=Sum("sessions"))["all"] or 0, True)
    source = _source(viewer, wanted, column, only)
    fitting, whole = _within_reach(source)
    number = fitting.order_by().values("pk")[: COUNTED + 1].count()
    return Total(min(number, COUNTED), whole and number <= COUNTED)


def figures(viewer: AbstractBaseUser, wanted: Filters) -> Figures | None:
    """Totals over all that fit; None where that would mean to look at every session."""
    if wanted.active() <= DAILY:
        return Figures(statistics.of_days(statistics.days(viewer, wanted)))
    fitting, whole = _within_reach(_source(viewer, wanted, "started_at", Q()))
    if not whole:
        return None
    newest = fitting.order_by("-started_at", "-id").values("pk")[:COUNTED]
    totals = statistics.statistics(Session.objects.filter(pk__in=newest))
    return Figures(totals, totals["sessions"] >= COUNTED)


def newest(viewer: AbstractBaseUser, wanted: Filters) -> tuple[QuerySet[Session], bool]:
    """The newest sessions that fit, 10,000 or a few more, and whether they are all; of what no index answers, those
    among the latest 20,000."""
    source = _source(viewer, wanted, "started_at", Q())
    rows, whole = (source.fitting, True) if source.indexed else _latest(source, LOOKED_THROUGH)
    end = _started_at(rows, COUNTED)
    return (rows, whole) if end is None else (rows.filter(started_at__gt=end), False)


def matching(viewer: AbstractBaseUser, wanted: Filters) -> QuerySet[Session]:
    """All sessions that fit, newest first."""
    found = _scope(viewer, wanted).filter(filters.time_range(wanted.since, wanted.until))
    for part in filters.parts(wanted).values():
        found = found.filter(part)
    return found.order_by("-started_at", "-id")


def tags_in_use(viewer: AbstractBaseUser, latest: int = 300) -> list[str]:
    """The tags of the latest sessions that have any."""
    tagged = Session.objects.filter(user=viewer.pk).exclude(tags=[]).order_by("-started_at", "-id")
    return sorted({tag for tags in tagged.values_list("tags", flat=True)[:latest] for tag in tags})


def _scope(viewer: AbstractBaseUser, wanted: Filters) -> QuerySet[Session]:
    rows = visible(Session.objects.all(), viewer, "user")
    return rows if wanted.user is None else rows.filter(user=wanted.user)


def _within_reach(source: Source) -> tuple[QuerySet[Session], bool]:
    """(what fits, True); of what no index answers only the first stretch, and whether that is all."""
    return (source.fitting, True) if source.indexed else _latest(source, FIRST_STRETCH)


def _latest(source: Source, many: int) -> tuple[QuerySet[Session], bool]:
    """What fits of the latest `many` sessions that are walked, and whether that is all."""
    end = _started_at(source.base, many)
    return (source.fitting, True) if end is None else (source.fitting.filter(started_at__gt=end), False)


def _started_at(rows: QuerySet[Session], place: int) -> datetime | None:
    """When the session began that so many newer ones stand before; None when there are not so many."""
    return rows.order_by("-started_at", "-id").values_list("started_at", flat=True)[place : place + 1].first()


def _source(viewer: AbstractBaseUser, wanted: Filters, column: str, only: Q) -> Source:
    """The smallest set that an index gives, in whose order the rest of the filters is looked for."""
    rows = _scope(viewer, wanted).filter(only)
    parts = filters.parts(wanted)
    within = filters.time_range(wanted.since, wanted.until)
    fitting = rows.filter(within)
    for part in parts.values():
        fitting = fitting.filter(part)
    for name, part in parts.items():
        if name != "search" and (rare := _rare(viewer, wanted, part)) is not None:
            return Source(rare, fitting.filter(pk__in=rare), True)
    if column == "started_at":
        rows, within = rows.filter(within), Q()
    in_order = _in_order(viewer, wanted, parts) if column == "started_at" else ""
    if in_order:
        rows = rows.filter(parts.pop(in_order))
    elif "tag" in parts:
        rows = rows.exclude(tags=[])
    return Source(rows, fitting, not parts and not within)


def _in_order(viewer: AbstractBaseUser, wanted: Filters, parts: dict[str, Q]) -> str:
    """The filter that has an index in the order of time; all but a subject's begin with the user."""
    of_one = wanted.user is not None or not viewer.is_staff
    return next((name for name in ("subject", *(("starred", *EQUAL) if of_one else ())) if name in parts), "")


def _rare(viewer: AbstractBaseUser, wanted: Filters, part: Q) -> QuerySet[Session] | None:
    """The sessions that fulfil one condition, when they are few; None when they are many."""
    of_one = replace(Filters(), user=wanted.user)
    ids = list(_scope(viewer, of_one).filter(part).order_by().values_list("pk", flat=True)[: RARE + 1])
    return Session.objects.filter(pk__in=ids) if len(ids) <= RARE else None

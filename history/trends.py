"""How the history develops: per day, week or month, by recipe, subject or model. The database adds everything up.

What the sums of each day know is read from them; a subject, a model, a tag is added up from its own sessions, the
newest ones where they are very many.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Avg, Count, DateField, F, FloatField, Func, Q, QuerySet, Sum
from django.db.models.functions import Cast, NullIf, Trunc
from django.utils import timezone

from common.access import visible
from common.numbers import ABSURD
from datasets.models import Subject
from engine.catalogue import RECIPES
from history import browsing, filters, statistics
from history.filters import DAILY, Filters
from history.models import EARLIEST, Session, SessionDay, SessionDayShare
from registry.models import Model

PERIODS = ("day", "week", "month")
BY = ("recipe", "subject", "model")
MOST = 8  # lines of a chart
LONGEST = 730  # periods; of a longer history the newest
SHARES = 30  # genres and generators, those with most sessions
GROUPED = {"recipe": "recipe", "subject": "subject", "model": "model_version__model"}
# So many sessions are read for the lines of subjects, which an index holds, and of models.
READ = {"subject": 200_000, "model": 20_000}


@dataclass(frozen=True)
class Group:
    """One line: a recipe, subject or model with one headline metric; `points` by the start of their period."""

    key: str
    name: str
    metric: str
    points: dict[date, dict[str, Any]]


@dataclass(frozen=True)
class Trends:
    """`points` has each period from the first to the last, also those without a session. None is 'not known'.

    `partial`: only the newest 10,000 sessions that fit are added up. `groups_since`: groups are of the sessions since
    then, None when of all. `narrowed`: by more than the shares of genres and generators, which are kept by day, know.
    """

    period: str
    by: str
    points: list[dict[str, Any]] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    genres: list[dict[str, Any]] = field(default_factory=list)
    generators: list[dict[str, Any]] = field(default_factory=list)
    currency: str = ""
    partial: bool = False
    groups_since: date | None = None
    narrowed: bool = False

    @property
    def starts(self) -> list[date]:
        return [point["start"] for point in self.points]


def trends(viewer: AbstractBaseUser, wanted: Filters, *, period: str = "week", by: str = "recipe") -> Trends:
    """Eight queries at most, however many sessions there are. Those of a clock that was wrong are left out."""
    last = timezone.now().date() + timedelta(days=1)
    since, until = max(wanted.since or EARLIEST, EARLIEST), min(wanted.until or last, last)
    wanted = replace(wanted, since=since, until=until)
    daily = wanted.active() <= DAILY
    rows, whole = (_days(viewer, wanted, period), True) if daily else _newest(viewer, wanted, period)
    found = {row["start"]: row for row in _per_period(rows, daily)}
    if not found:
        return Trends(period, by, partial=not whole)
    starts = _every(period, min(found), max(found))
    points = [_point(start, found.get(start)) for start in starts]
    read = _read_since(points, by) if daily else starts[0]
    by_days = daily and by == "recipe"
    grouped = rows if by_days or not daily else _starting(browsing.matching(viewer, wanted), period)
    groups = _groups(viewer, grouped, by, read, daily=by_days)
    within = replace(wanted, since=max(since, starts[0]))
    return Trends(
        period, by, points, groups, _genres(viewer, within), _generators(viewer, within),
        settings.DEVICE_HOUR_CURRENCY, not whole, read if read > starts[0] else None,
        bool(wanted.active() - {"user", "since", "until"}),
    )  # fmt: skip


class _Start(Func):
    """The first day of a day's week or month. Without time zones, which a date has none of: they cost most of it."""

    template = "date_trunc('%(period)s', (%(expressions)s)::timestamp)::date"
    output_field = DateField()


def _days(viewer: AbstractBaseUser, wanted: Filters, period: str) -> QuerySet[SessionDay]:
    start = F("day") if period == "day" else _Start("day", period=period)
    return statistics.days(viewer, wanted).annotate(start=start)


def _newest(viewer: AbstractBaseUser, wanted: Filters, period: str) -> tuple[QuerySet[Session], bool]:
    rows, whole = browsing.newest(viewer, wanted)
    return _starting(rows, period), whole


def _starting(rows: QuerySet[Session], period: str) -> QuerySet[Session]:
    return rows.order_by().annotate(start=Trunc("started_at", period, output_field=DateField(), tzinfo=UTC))


def _read_since(points: list[dict[str, Any]], by: str) -> date:
    """The first period from which on no more sessions than are read belong to the lines; at least the last one."""
    left = READ.get(by)
    since = points[-1]["start"]
    for point in reversed(points):
        if left is not None and (left := left - point["sessions"]) < 0:
            break
        since = point["start"]
    return since


def _per_period(rows: QuerySet[Any], daily: bool) -> QuerySet[Any, dict[str, Any]]:
    priced = Q(currency=settings.DEVICE_HOUR_CURRENCY)
    if daily:
        sums = {
            "number": Sum("sessions"), "failed_ones": Sum("sessions", filter=Q(outcome="failed")),
            "time": Sum("seconds"), "paid": Sum("cost", filter=priced & Q(priced__gt=0)),
            "mean_quality": Sum("quality") / NullIf(Cast(Sum("rated"), FloatField()), 0.0),
            "expected": Sum("estimated_seconds"), "took": Sum("estimated_took"), "guesses": Sum("estimated"),
        }  # fmt: skip
    else:
        guessed = Q(outcome="completed", estimated_seconds__isnull=False, total_seconds__isnull=False)
        sums = {
            "number": Count("pk"), "failed_ones": Count("pk", filter=Q(outcome="failed")),
            "time": Sum("total_seconds"), "paid": Sum("cost", filter=priced), "mean_quality": Avg("quality_average"),
            "expected": Sum("estimated_seconds", filter=guessed), "took": Sum("total_seconds", filter=guessed),
            "guesses": Count("pk", filter=guessed),
        }  # fmt: skip
    return rows.values("start").annotate(**sums).order_by("-start")[:LONGEST]


def _point(start: date, row: dict[str, Any] | None) -> dict[str, Any]:
    row = row or {}
    guesses = row.get("guesses") or 0
    expected, took = (row.get(name) if guesses else None for name in ("expected", "took"))
    quality = row.get("mean_quality")
    return {
        "start": start,
        "sessions": row.get("number") or 0,
        "failed": row.get("failed_ones") or 0,
        "seconds": float(row.get("time") or 0),
        "cost": row.get("paid"),
        "quality": None if quality is None else round(float(quality), 2),
        "estimated": guesses,
        "expected_seconds": expected,
        "took_seconds": took,
        "took_of_expected": round(took / expected, 3) if took is not None and expected else None,
    }


def _groups(viewer: AbstractBaseUser, rows: QuerySet[Any], by: str, since: date, *, daily: bool) -> list[Group]:
    """The groups with most sessions, each with its headline metric."""
    column = GROUPED[by]
    rows = rows.exclude(recipe="") if by == "recipe" else rows.filter(**{f"{column}__isnull": False})
    rows = rows.filter(day__gte=since) if daily else rows.filter(filters.time_range(since, None))
    number = Sum("sessions") if daily else Count("pk")
    most = rows.values(column).annotate(number=number).order_by("-number", column)[:MOST]
    names = _names(viewer, by, [row[column] for row in most])
    if daily:
        sums = {
            "number": number, "mean_quality": Sum("quality") / NullIf(Cast(Sum("rated"), FloatField()), 0.0),
            "value": Sum("metric_sum") / NullIf(Cast(Sum("measured"), FloatField()), 0.0),
        }  # fmt: skip
    else:
        told = Q(metric_value__gt=-ABSURD, metric_value__lt=ABSURD)
        sums = {"number": number, "mean_quality": Avg("quality_average"), "value": Avg("metric_value", filter=told)}
    found: dict[tuple[Any, str], dict[date, dict[str, Any]]] = {}
    only = rows.filter(**{f"{column}__in": list(names)})
    for row in only.values("start", "metric", group=F(column)).annotate(**sums).order_by("start"):
        quality = row["mean_quality"]
        found.setdefault((row["group"], row["metric"]), {})[row["start"]] = {
            "sessions": row["number"],
            "quality": None if quality is None else round(float(quality), 2),
            "value": row["value"],
        }
    return [
        Group(str(key), names[key], metric, points)
        for (key, metric), points in sorted(
            found.items(), key=lambda entry: (list(names).index(entry[0][0]), entry[0][1])
        )
    ]


def _names(viewer: AbstractBaseUser, by: str, keys: list[Any]) -> dict[Any, str]:
    """What each group is called, in the order of the keys."""
    if by == "recipe":
        return {key: RECIPES[key].title if key in RECIPES else key for key in keys}
    model = {"subject": Subject, "model": Model}[by]
    known = dict(visible(model.objects.order_by(), viewer).filter(pk__in=keys).values_list("pk", "name"))
    return {key: known.get(key, f"{by.capitalize()} {key}") for key in keys}


def _shares(viewer: AbstractBaseUser, wanted: Filters, what: str) -> QuerySet[Any]:
    rows = visible(SessionDayShare.objects.order_by(), viewer, "user").filter(what=what, day__gte=wanted.since)
    if wanted.user is not None:
        rows = rows.filter(user=wanted.user)
    return rows.filter(day__lte=wanted.until) if wanted.until else rows


def _genres(viewer: AbstractBaseUser, wanted: Filters) -> list[dict[str, Any]]:
    """How many sessions used each genre, and how many examples came of it."""
    found = _shares(viewer, wanted, SessionDayShare.What.GENRE).values("name")
    added = found.annotate(used=Sum("sessions"), examples=Sum("count")).order_by("-used", "name")[:SHARES]
    return [{"name": row["name"], "sessions": row["used"], "examples": row["examples"]} for row in added]


def _generators(viewer: AbstractBaseUser, wanted: Filters) -> list[dict[str, Any]]:
    """How often each generating model won, and the mean of its sessions' qualities."""
    mean = Sum("quality") / NullIf(Cast(Sum("rated"), FloatField()), 0.0)
    found = _shares(viewer, wanted, SessionDayShare.What.GENERATOR).values("name")
    added = found.annotate(used=Sum("sessions"), wins=Sum("count"), mean=mean).order_by("-wins", "name")[:SHARES]
    return [
        {
            "name": row["name"],
            "sessions": row["used"],
            "wins": row["wins"],
            "quality": None if row["mean"] is None else round(row["mean"], 2),
        }
        for row in added
    ]


def _every(period: str, first: date, last: date) -> list[date]:
    """The starts of all periods between two; the newest of them when they are too many."""
    starts = [last]
    while starts[-1] > first and len(starts) < LONGEST:
        starts.append(_before(period, starts[-1]))
    return starts[::-1]


def _before(period: str, start: date) -> date:
    if period == "month":
        return (start - timedelta(days=1)).replace(day=1)
    return start - timedelta(days=7 if period == "week" else 1)

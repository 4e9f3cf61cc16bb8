"""Figures of use as pages show them: over time by version, and in sum by version and by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from common import wording
from engine.report import Line, Lines
from performance.models import MetricRecord
from performance.use import estimates, names
from registry.models import Model, ModelVersion

PERIODS = (7, 30, 90)  # days; a week by the hour, more by the day
VERSIONS = 6  # lines of a chart: twice as many with their estimates
Bucket = MetricRecord.Bucket

KNOWN = """
SELECT name FROM unnest(%s::text[]) AS name WHERE EXISTS (SELECT 1 FROM performance_metricrecord AS r
    WHERE r.source = 'logged' AND r.model_id = %s AND r.bucket = 'day' AND r.name = name.name AND r."group" = '')
"""


@dataclass(frozen=True)
class Row:
    """What a version, or a group, did in a period. Means are of all predictions that they rest on."""

    name: str
    version_id: int | None = None
    values: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    estimate: float | None = None


@dataclass(frozen=True)
class Shown:
    """The figures of one model in use."""

    names: list[str]
    name: str
    days: int
    group: str
    chart: Lines | None
    versions: list[Row]
    groups: list[Row]
    uncalibrated: list[str]  # versions whose estimate is their mean confidence as it is

    @property
    def columns(self) -> list[str]:
        """The figures of the tables, times to answer aside: their percentiles can't be added up."""
        return [name for name in self.names if name not in (names.P50, names.P95)]


def known(model: Model) -> list[str]:
    """The names of figures that there are of a model in use, those that tell most first."""
    with connection.cursor() as cursor:
        cursor.execute(KNOWN, [list(names.ALL), model.pk])
        found = {row[0] for row in cursor.fetchall()}
    return [name for name in names.ALL if name in found]


def shown(model: Model, name: str = "", days: int = PERIODS[1], group: str = "") -> Shown | None:
    """One figure over the last days, and all of them in sum; None when the model was never used.

    What is not known of `name`, `days` or `group` is left to the first choice.
    """
    there = known(model)
    if not there:
        return None
    name = name if name in there else there[0]
    days = days if days in PERIODS else PERIODS[1]
    since = _begin(days)
    groups = _rows(model, since, "group")
    group = group if any(row.name == group for row in groups) else ""
    versions = _rows(model, since, "version", group)
    return Shown(there, name, days, group, _chart(model, name, days, group, versions), versions, groups,
                 _uncalibrated(model, name, versions))  # fmt: skip


def newest(models: Sequence[Model]) -> dict[int, dict[str, MetricRecord]]:
    """Of each model the figures of the last day of this week on which it was used, measured before estimated."""
    rows = MetricRecord.objects.filter(
        source=MetricRecord.Source.LOGGED, model__in=models, bucket=Bucket.DAY, name__in=names.ALL, group="",
        since__gte=timezone.now() - timedelta(days=8),
    )  # fmt: skip
    found: dict[int, dict[str, MetricRecord]] = {model.pk: {} for model in models}
    for row in rows.select_related("version").order_by("since", "-estimated", "id"):
        found[row.model_id][row.name] = row
    return found


def _begin(days: int) -> datetime:
    midnight = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days - 1)


def _of(model: Model, bucket: str, since: datetime) -> QuerySet[MetricRecord]:
    return MetricRecord.objects.filter(
        source=MetricRecord.Source.LOGGED, model=model, bucket=bucket, name__in=names.ALL, since__gte=since
    )


def _rows(model: Model, since: datetime, by: str, group: str = "") -> list[Row]:
    """Sums by version or by group: whoever was asked most, first."""
    rows = _of(model, Bucket.DAY, since).exclude(name__in=(names.P50, names.P95))
    if by == "version":
        rows, key = rows.filter(group=group), "version_id"
    else:
        rows, key = rows.exclude(group=""), "group"
    summed = rows.order_by().values(key, "name", "estimated").annotate(n=Sum("count"), sum=Sum(F("value") * F("count")))
    numbers = dict(ModelVersion.objects.filter(model=model).values_list("pk", "number")) if by == "version" else {}
    made: dict[Any, Row] = {}
    for one in summed:
        who = one[key]
        version = who if by == "version" else None
        row = made.setdefault(who, Row(f"v{numbers.get(who)}" if version else who, version))
        value = one["sum"] / one["n"] if one["n"] else 0.0
        if one["estimated"]:
            made[who] = Row(row.name, version, row.values, row.counts, value)
            continue
        row.values[one["name"]] = float(one["n"]) if one["name"] == names.REQUESTS else value
        row.counts[one["name"]] = one["n"]
    return sorted(made.values(), key=lambda row: -row.values.get(names.REQUESTS, 0))


def _chart(model: Model, name: str, days: int, group: str, versions: list[Row]) -> Lines | None:
    """A line for each version, and a dashed one for what is only estimated."""
    hourly = days == PERIODS[0]
    step = timedelta(hours=1) if hourly else timedelta(days=1)
    begin = _begin(days)
    count = int((timezone.now() - begin) / step) + 1
    starts = [begin + step * number for number in range(count)]
    place = {start: number for number, start in enumerate(starts)}
    lines: dict[tuple[int, bool], list[float | None]] = {}
    wanted = [row.version_id for row in versions[:VERSIONS]]
    rows = _of(model, Bucket.HOUR if hourly else Bucket.DAY, begin).filter(name=name, group=group, version__in=wanted)
    for version, since, value, estimated in rows.values_list("version_id", "since", "value", "estimated"):
        if since in place:
            lines.setdefault((version, estimated), [None] * count)[place[since]] = value
    if not lines:
        return None
    named = {row.version_id: row.name for row in versions}
    ordered = sorted(lines.items(), key=lambda pair: (wanted.index(pair[0][0]), pair[0][1]))
    share = name in names.SHARES
    return Lines(
        title=names.TITLES[name],
        x=[f"{start:%Y-%m-%d %H:00}" if hourly else f"{start:%Y-%m-%d}" for start in starts],
        x_label="Hour from, UTC" if hourly else "Day, UTC",
        y_label=names.UNITS.get(name, ""),
        lowest=None if name in (names.BIAS, names.FEEDBACK) else 0.0,
        highest=1.0 if share else None,
        lines=[
            Line(name=f"{named[version]}, estimated" if estimated else named[version], values=values, dashed=estimated)
            for (version, estimated), values in ordered
        ],
    )  # fmt: skip


def _uncalibrated(model: Model, name: str, versions: list[Row]) -> list[str]:
    if name != names.ACCURACY:
        return []
    guessed = {row.version_id: row.name for row in versions if row.estimate is not None}
    metrics = ModelVersion.objects.filter(pk__in=guessed).values_list("pk", "metrics")
    return sorted(guessed[pk] for pk, of in metrics if not estimates.calibrated(of))


def said(name: str, value: float | None) -> str:
    """A figure in words, with its unit."""
    if value is None:
        return wording.NOTHING
    if name in names.SHARES:
        return wording.percent(value)
    return f"{wording.brief(value)} {names.UNITS[name]}" if name in names.UNITS else wording.number(value)

"""Reading curves: exact when short, thinned to their extremes when long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from heapq import merge
from itertools import groupby
from operator import itemgetter, or_

from django.db import connection
from django.db.models import Q

from common.errors import InvalidInputError, NotFoundError
from common.pages import csv_line
from jobs.models import Job, MetricSeries, ProgressRow, ProgressSummary
from jobs.progress import BUCKET

# Up to here rows are read and thinned one by one; beyond, the summaries answer.
EXACT_ROWS = 50_000
MAX_POINTS = 10_000
PAGE = 2_000  # rows of one metric that are in memory while all are exported


@dataclass(frozen=True)
class Point:
    step: int
    value: float | None  # None where the value was not a finite number
    recorded_at: datetime


@dataclass(frozen=True)
class Curve:
    name: str
    points: list[Point]
    total_points: int  # in the asked range, before thinning


def names(job: Job) -> list[str]:
    """The metrics that a job has reported, sorted."""
    return list(MetricSeries.objects.filter(job=job).values_list("name", flat=True).order_by("name"))


def read(
    job: Job, name: str, *, from_step: int | None = None, to_step: int | None = None, max_points: int = 1000
) -> Curve:
    """A metric over a range of steps, both ends included, in at most about `max_points` points.

    Thinning keeps the lowest and the highest value of every stretch, so peaks stay visible.
    """
    if not 2 <= max_points <= MAX_POINTS:
        raise InvalidInputError(f"max_points must be from 2 to {MAX_POINTS}.", "Ask for fewer points.")
    series = MetricSeries.objects.filter(job=job, name=name).first()
    if series is None:
        known = ", ".join(names(job)) or "none yet"
        raise NotFoundError(f"Job {job.pk} has no metric '{name[:100]}'.", f"It has: {known}.")
    low, high = from_step or 0, to_step if to_step is not None else 2**62
    total = _count(series.pk, low, high)
    if total <= EXACT_ROWS:
        rows = ProgressRow.objects.filter(series=series, step__gte=low, step__lte=high).order_by("step")
        points = [Point(*row) for row in rows.values_list("step", "value", "recorded_at")]
        return Curve(name, _thin(points, max_points), len(points))
    return Curve(name, _thin(_extremes(series.pk, low, high), max_points), total)


def since(series_id: int, step: int, limit: int) -> list[Point]:
    """Points after `step`, thinned to `limit`; for live pages."""
    rows = ProgressRow.objects.filter(series_id=series_id, step__gt=step).order_by("step")[:EXACT_ROWS]
    return _thin([Point(*row) for row in rows.values_list("step", "value", "recorded_at")], limit)


def since_each(steps: dict[int, int], limit: int) -> dict[int, list[Point]]:
    """The same for many series in one query: `steps` maps a series to the step after which its points are new."""
    if not steps:
        return {}
    newer = reduce(or_, (Q(series_id=series_id, step__gt=step) for series_id, step in steps.items()))
    rows = ProgressRow.objects.filter(newer).order_by("series_id", "step")[:EXACT_ROWS]
    found: dict[int, list[Point]] = {}
    for series_id, *point in rows.values_list("series_id", "step", "value", "recorded_at"):
        found.setdefault(series_id, []).append(Point(*point))
    return {series_id: _thin(points, limit) for series_id, points in found.items()}


def export(job: Job, name: str) -> Iterator[str]:
    """A metric as CSV, line by line, every point, with constant memory."""
    series = MetricSeries.objects.filter(job=job, name=name).first()
    if series is None:
        raise NotFoundError(f"Job {job.pk} has no metric '{name[:100]}'.", "See the job's metrics for their names.")
    return _csv(series.pk, name)


def export_all(job: Job) -> Iterator[str]:
    """All metrics as one CSV: a line a step, a column each, empty where one was not reported. Memory is constant."""
    found = list(MetricSeries.objects.filter(job=job).order_by("name").values_list("id", "name"))
    yield csv_line(["step", "recorded_at", *(name for _, name in found)])
    # Each is read by the index on its steps, page by page: one query for all would have to sort millions of rows.
    rows = merge(*(_paged(series_id, column) for column, (series_id, _) in enumerate(found)))
    for step, same in groupby(rows, key=itemgetter(0)):
        cells: list[float | None] = [None] * len(found)
        last = None
        for _, column, value, at in same:
            cells[column] = value
            last = at if last is None else max(last, at)
        yield csv_line([step, last.isoformat() if last else "", *cells])


def _paged(series_id: int, column: int) -> Iterator[tuple[int, int, float | None, datetime]]:
    rows = ProgressRow.objects.filter(series_id=series_id).order_by("step").values_list("step", "value", "recorded_at")
    page = list(rows[:PAGE])
    while page:
        yield from ((step, column, value, at) for step, value, at in page)
        page = list(rows.filter(step__gt=page[-1][0])[:PAGE]) if len(page) == PAGE else []


def _csv(series_id: int, name: str) -> Iterator[str]:
    yield csv_line(["step", name, "recorded_at"])
    rows = ProgressRow.objects.filter(series_id=series_id).order_by("step")
    for step, value, at in rows.values_list("step", "value", "recorded_at").iterator(chunk_size=5000):
        yield csv_line([step, value, at.isoformat()])


def _count(series_id: int, low: int, high: int) -> int:
    """How many rows a range holds, to within one bucket at its ends; from the summaries, so without a scan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(rows), 0) FROM jobs_progresssummary WHERE series_id = %s AND bucket BETWEEN %s AND %s",
            [series_id, low // BUCKET, min(high, 2**62) // BUCKET],
        )
        return int(cursor.fetchone()[0])


def _extremes(series_id: int, low: int, high: int) -> list[Point]:
    rows = ProgressSummary.objects.filter(series_id=series_id, bucket__gte=low // BUCKET, bucket__lte=high // BUCKET)
    points: list[Point] = []
    fields = ("low_step", "low", "high_step", "high", "last_at")
    for low_step, low_value, high_step, high_value, at in rows.order_by("bucket").values_list(*fields):
        pair = {low_step: low_value, high_step: high_value}
        points += [Point(step, value, at) for step, value in sorted(pair.items()) if low <= step <= high]
    return points


def _thin(points: list[Point], limit: int) -> list[Point]:
    """At most `limit` points: of each stretch the lowest and the highest, and always the first and the last."""
    if len(points) <= limit:
        return points
    stretches = max(1, (limit - 2) // 2)
    size = (len(points) + stretches - 1) // stretches
    kept = [points[0]]
    for start in range(0, len(points), size):
        stretch = [point for point in points[start : start + size] if point.value is not None]
        if stretch:
            low = min(stretch, key=lambda point: point.value)
            high = max(stretch, key=lambda point: point.value)
            kept += sorted({low, high}, key=lambda point: point.step)
    kept.append(points[-1])
    return list({point.step: point for point in kept}.values())

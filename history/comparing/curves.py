"""One metric of many runs over a shared axis, thinned by the database: lowest and highest value of each stretch.

Short curves are thinned from their rows, long ones from the summaries that are kept beside them, so that fifty runs of
a hundred thousand points cost a handful of queries and are read in a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from django.db import connection
from django.utils import timezone

from common.errors import InvalidInputError, NotFoundError
from history.comparing.figures import PARTS, Value, by_weight, headline
from history.comparing.runs import Run
from jobs.models import MetricSeries
from jobs.progress import BUCKET

Axis = Literal["step", "time", "examples"]
AXES: dict[Axis, str] = {"step": "Step", "time": "Seconds at work", "examples": "Examples seen"}
FEWEST, MOST = 10, 2000
POINTS = 400  # of a curve, unless asked otherwise
DRAWN = 12_000  # of all curves of a chart together
# So many rows, of all curves together, are thinned one by one; the summaries answer for the longest ones beyond.
EXACT_ROWS = 60_000


@dataclass(frozen=True)
class Point:
    x: float
    step: int
    value: float | None  # None where the value was not a finite number


@dataclass(frozen=True)
class Curve:
    """The curve of one run. `total` counts its finite values before thinning; without points it reported none."""

    run: Run
    points: list[Point]
    total: int = 0


@dataclass(frozen=True)
class Glance:
    """A curve in four numbers, with their steps; None where the run did not report the metric."""

    run: Run
    total: int = 0
    first: Value | None = None
    lowest: Value | None = None
    highest: Value | None = None
    last: Value | None = None

    @property
    def values(self) -> list[Value | None]:
        return [self.first, self.lowest, self.highest, self.last]


@dataclass
class _Head:
    """A curve before it is read: its ends, how many rows it has, and between what they lie."""

    run: Run
    rows: int
    ends: list[tuple[int, float | None, float]]  # step, value, Unix time
    lowest: Value | None
    highest: Value | None


def metrics(runs: Sequence[Run]) -> list[str]:
    """The metrics that at least two of the runs have reported, those that tell most first.

    How a run went on its machine, as `run/…`, comes last: it says nothing of what it came to."""
    jobs = [run.job.pk for run in runs if run.job]
    counted: dict[str, int] = {}
    for name in MetricSeries.objects.filter(job__in=jobs).order_by().values_list("name", flat=True):
        counted[name] = counted.get(name, 0) + 1
    recipes = {run.recipe for run in runs}
    names = by_weight((name for name, count in counted.items() if count > 1), recipes)
    first = headline(recipes)
    return sorted(names, key=lambda name: (name.startswith("run/"), name != first, name.partition("/")[0] not in PARTS))


def axes(runs: Sequence[Run]) -> list[Axis]:
    """What the runs can be drawn over: examples only where each run says how many a step sees."""
    known = all(run.examples_per_step for run in runs)
    return [axis for axis in get_args(Axis) if axis != "examples" or known]


def read(runs: Sequence[Run], metric: str, axis: Axis = "step", max_points: int = POINTS) -> list[Curve]:
    """The curve of each run, in their order, in at most about `max_points` points each; three queries.

    InvalidInputError for an axis or number of points that can't be, NotFoundError for a metric that no run has.
    """
    if axis not in axes(runs):
        raise _wrong("x", f"'{str(axis)[:20]}' is no axis of these runs.", f"Choose {', '.join(axes(runs))}.")
    if not FEWEST <= max_points <= MOST:
        raise _wrong("max_points", f"{max_points:,} points a curve can't be.", f"Ask for {FEWEST} to {MOST:,}.")
    heads = _heads(runs, metric)
    if not heads:
        known = ", ".join(metrics(runs)[:20]) or "none in common"
        raise NotFoundError(f"None of these runs has a metric '{metric[:100]}'.", f"They have: {known}.")
    found = _thinned(heads, max_points)
    return [_curve(run, heads, found, axis) for run in runs]


def drawn_points(count: int) -> int:
    """How many points each of so many curves of one chart gets."""
    return max(200, min(1000, DRAWN // max(1, count)))


def glances(runs: Sequence[Run], metric: str) -> list[Glance]:
    """The curve of each run in four numbers; one query."""
    by_run = {head.run.key: head for head in _heads(runs, metric).values()}
    return [_glance(by_run[run.key]) if run.key in by_run else Glance(run) for run in runs]


def table(curves: Sequence[Curve]) -> Iterator[list[Any]]:
    """The points as rows: run, name, step, x, value."""
    for curve in curves:
        for point in curve.points:
            yield [curve.run.key, curve.run.name, point.step, point.x, point.value]


COLUMNS = ["run", "name", "step", "x", "value"]


def _heads(runs: Sequence[Run], metric: str) -> dict[int, _Head]:
    """Series → its head, of the runs that have the metric."""
    by_job = {run.job.pk: run for run in runs if run.job}
    with connection.cursor() as cursor:
        cursor.execute(_HEADS, [list(by_job), metric])
        return {
            series: _Head(by_job[job], int(rows), [tuple(ends[:3]), tuple(ends[3:])], _value(low), _value(high))
            for series, job, rows, low, high, *ends in cursor.fetchall()
        }


def _value(found: list[float] | None) -> Value | None:
    return Value(found[0], abs(int(found[1]))) if found else None


def _glance(head: _Head) -> Glance:
    first, last = (Value(value, step) for step, value, _ in head.ends)
    return Glance(head.run, head.rows, first, head.lowest, head.highest, last)


def _thinned(heads: dict[int, _Head], limit: int) -> dict[int, list[tuple[int, float | None, float]]]:
    """Series → (step, value, Unix time) in the order of steps."""
    exact, long, budget = [], [], EXACT_ROWS
    for series, head in sorted(heads.items(), key=lambda pair: pair[1].rows):
        (exact if head.rows <= budget else long).append(series)
        budget -= head.rows
    stretches = max(1, (limit - 2) // 2)
    widths = {key: max(1, -(-(head.ends[1][0] - head.ends[0][0] + 1) // stretches)) for key, head in heads.items()}
    found: dict[int, dict[int, tuple[float | None, float]]] = {key: {} for key in heads}
    with connection.cursor() as cursor:
        if exact:
            cursor.execute(_ROWS, [exact, [widths[key] for key in exact], [heads[key].ends[0][0] for key in exact]])
            _take(found, cursor.fetchall())
        if long:
            begun = [heads[key].ends[0][2] for key in long]
            cursor.execute(_SUMMARIES, [long, [max(1, -(-widths[key] // BUCKET)) for key in long], begun])
            _take(found, cursor.fetchall())
    for key, head in heads.items():
        found[key] |= {step: (value, at) for step, value, at in head.ends}
    return {key: [(step, *points[step]) for step in sorted(points)] for key, points in found.items()}


def _take(found: dict[int, dict[int, tuple[float | None, float]]], rows: list[tuple[Any, ...]]) -> None:
    for series, low, low_step, low_at, high, high_step, high_at in rows:
        found[series][int(low_step)] = (low, low_at)
        found[series][-int(high_step)] = (high, high_at)


def _curve(run: Run, heads: dict[int, _Head], found: dict[int, Any], axis: Axis) -> Curve:
    series = next((key for key, head in heads.items() if head.run is run), None)
    if series is None:
        return Curve(run, [])
    points: list[Point] = []
    place = _place(run, axis)
    for step, value, at in found[series]:
        x = place(step, at)
        if not points or x > points[-1].x:  # a chart has one value at each place
            points.append(Point(x, step, value))
    return Curve(run, points, heads[series].rows or len(points))


def _place(run: Run, axis: Axis) -> Any:
    """From step and time to the place on the axis."""
    if axis == "examples":
        each = run.examples_per_step or 0.0
        return lambda step, at: round(step * each, 3)
    if axis == "time":
        clock = WorkClock(run)
        return lambda step, at: clock.seconds(at)
    return lambda step, at: step


class WorkClock:
    """Tells of a moment how long a run had been at work by then, without waiting and pauses."""

    def __init__(self, run: Run) -> None:
        self.spans: list[tuple[float, float, float]] = []  # start, end, seconds at work before
        before, now = 0.0, timezone.now()
        for stretch in run.work:
            start, end = stretch.start.timestamp(), (stretch.end or now).timestamp()
            self.spans.append((start, end, before))
            before += max(0.0, end - start)

    def seconds(self, at: float) -> float:
        """Seconds at work; a moment of a pause counts as its beginning."""
        past = [span for span in self.spans if span[0] <= at] or self.spans[:1]
        if not past:
            return 0.0
        start, end, before = past[-1]
        # The last reports of an attempt may be written just after its end was noted.
        return round(before + max(0.0, min(at, end) - start), 3)


def _wrong(name: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={name: [f"{message} {hint}"]})


_HEADS = """
SELECT series.id, series.job_id, counted.rows, counted.lowest, counted.highest,
    opening.step, opening.value, opening.at, ending.step, ending.value, ending.at
FROM jobs_metricseries AS series
CROSS JOIN LATERAL (
    SELECT coalesce(sum(rows), 0) AS rows, min(ARRAY[low, low_step]) AS lowest, max(ARRAY[high, -high_step]) AS highest
    FROM jobs_progresssummary WHERE series_id = series.id) AS counted
CROSS JOIN LATERAL (
    SELECT step, value, extract(epoch FROM recorded_at)::float8 AS at
    FROM jobs_progressrow WHERE series_id = series.id ORDER BY step LIMIT 1) AS opening
CROSS JOIN LATERAL (
    SELECT step, value, extract(epoch FROM recorded_at)::float8 AS at
    FROM jobs_progressrow WHERE series_id = series.id ORDER BY step DESC LIMIT 1) AS ending
WHERE series.job_id = ANY(%s) AND series.name = %s
"""

# Arrays are compared from their first element on: the lowest value brings its step and time along, the earliest of
# equals. They are taken apart here, as the driver does that slowly.
_APART = "SELECT series, low[1], low[2], low[3], high[1], high[2], high[3] FROM"
_ROWS = f"""
{_APART} (SELECT wanted.series, min(ARRAY[value, step, extract(epoch FROM recorded_at)::float8]) AS low,
    max(ARRAY[value, -step, extract(epoch FROM recorded_at)::float8]) AS high
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS wanted (series, width, start)
JOIN jobs_progressrow AS row ON row.series_id = wanted.series
WHERE value IS NOT NULL
GROUP BY wanted.series, (step - wanted.start) / wanted.width) AS thinned
"""

# A summary knows when it was last written to; where in its time a step lies follows from the step.
_SUMMARIES = f"""
{_APART} (SELECT series,
    min(ARRAY[low, low_step, began + (ended - began) * least(1, (low_step - bucket * {BUCKET} + 1) / most)]) AS low,
    max(ARRAY[high, -high_step, began + (ended - began) * least(1, (high_step - bucket * {BUCKET} + 1) / most)]) AS high
FROM (
    SELECT wanted.series, wanted.width, bucket, low, low_step, high, high_step, rows::float8 AS most,
        extract(epoch FROM last_at)::float8 AS ended,
        coalesce(lag(extract(epoch FROM last_at)::float8) OVER (PARTITION BY wanted.series ORDER BY bucket),
            wanted.begun) AS began
    FROM unnest(%s::bigint[], %s::bigint[], %s::float8[]) AS wanted (series, width, begun)
    JOIN jobs_progresssummary AS summary ON summary.series_id = wanted.series
) AS parts
GROUP BY series, bucket / width) AS thinned
"""

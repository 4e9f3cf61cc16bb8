"""Figures of use, reckoned from logged predictions and outcomes by the hour and by the day.

A period is reckoned anew, as a whole, whenever something in it changed: the marks of `registry.models.Touched` say so.
They are taken away in the transaction that reckons, so nothing that came meanwhile is missed, and reckoned twice it is
the same. What one period costs depends on how much was logged in it, never on how much there is in all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from common.background import QUEUE, put
from common.identifiers import least_at
from engine.catalogue import RECIPES
from performance.alerts import evaluating
from performance.models import MetricRecord
from performance.retraining import triggers
from performance.use import estimates, names
from registry.logged.policies import policy_of
from registry.logged.retention import kept_since
from registry.models import ModelVersion, Touched

TASK = "performance.tasks.reckon_use"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOURS_KEPT = 31  # days for which there are figures by the hour
GROUPS = 20
LOCK = 7_205_912  # any number: whoever reckons a period of a version takes turns
# Seconds since the first change, before a period is reckoned: while it goes on, it changes all the time. Whoever waits
# for the first figures of today shall not wait as long as for the next.
WAITS = {"past_hour": 3, "current_hour": 60, "past_day": 10, "current_day": 600, "first": 5}
BUDGET = 30.0  # seconds of one task
AT_ONCE = 500

DUE = """
SELECT version_id, since, day FROM registry_touched AS mark GROUP BY version_id, since, day
HAVING min(at) <= now() - interval '1 second' * CASE
    WHEN day AND since + interval '1 day' <= now() THEN {past_day}
    WHEN NOT day AND since + interval '1 hour' <= now() THEN {past_hour}
    WHEN NOT EXISTS (
        SELECT 1 FROM performance_metricrecord AS known WHERE known.source = 'logged'
        AND known.version_id = mark.version_id AND known.since = mark.since
        AND known.bucket = CASE WHEN mark.day THEN 'day' ELSE 'hour' END
    ) THEN {first}
    WHEN day THEN {current_day} ELSE {current_hour} END
ORDER BY day, min(at) LIMIT %s
"""
PREDICTIONS = """
SELECT CASE WHEN grouping("group") = 0 THEN "group" ELSE '' END, count(*), count(*) FILTER (WHERE error <> ''),
    percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE error = ''),
    count(score) FILTER (WHERE label <> ''), avg(score) FILTER (WHERE label <> '')
FROM registry_prediction WHERE version_id = %s AND id >= %s AND id < %s
GROUP BY GROUPING SETS ((), ("group")) HAVING grouping("group") = 1 OR "group" <> ''
ORDER BY grouping("group") DESC, count(*) DESC, "group" LIMIT %s
"""
OUTCOMES = """
SELECT {group}, count(correct), avg(correct::int), count(error), avg(abs(error)), avg(error), count(value), avg(value)
FROM registry_outcome WHERE model_id = %s AND version_id = %s AND prediction_id >= %s AND prediction_id < %s {which}
"""
OF_ALL = OUTCOMES.format(group="''", which="")
OF_GROUPS = OUTCOMES.format(group='"group"', which='AND "group" = ANY(%s) GROUP BY "group"')


@dataclass(frozen=True)
class Period:
    version_id: int
    since: datetime
    day: bool

    @property
    def until(self) -> datetime:
        return self.since + (DAY if self.day else HOUR)

    @property
    def bucket(self) -> str:
        return MetricRecord.Bucket.DAY if self.day else MetricRecord.Bucket.HOUR


def look() -> None:
    """Have what is due reckoned by a worker, if anything is."""
    if _due(1):
        put(QUEUE, TASK)


def run(budget: float = BUDGET) -> int:
    """Reckon what is due; returns how many periods. What takes longer than `budget` seconds is left to another task."""
    until = time.monotonic() + budget
    count = 0
    while due := _due(AT_ONCE):
        reckoned = set()
        for period in due:
            if reckon(period):
                count += 1
                reckoned.add(period.version_id)
            if time.monotonic() >= until:
                put(QUEUE, TASK)
                _have_watched(reckoned)
                return count
        _have_watched(reckoned)
    return count


def _have_watched(version_ids: set[int]) -> None:
    """New figures may be what an alert or a training waits for."""
    if version_ids:
        evaluating.soon()
        models = ModelVersion.objects.filter(pk__in=version_ids).values_list("model", flat=True)
        triggers.knock_of_figures(models)


def reckon(period: Period) -> bool:
    """The figures of one period anew; False when somebody else has just done it.

    Of a time of which predictions may have been removed already the figures stay as they are.
    """
    with transaction.atomic():
        _take_turns(period)
        marks = Touched.objects.filter(version=period.version_id, since=period.since, day=period.day)
        if not marks.delete()[0]:
            return False
        version = ModelVersion.objects.select_related("model").get(pk=period.version_id)
        if period.since >= kept_since(policy_of(version.model_id).days):
            oldest_hour = timezone.now() - timedelta(days=HOURS_KEPT)
            if period.day or period.since >= oldest_hour:
                _write(version, period)
            if period.day:
                _remove_hours(version, oldest_hour)
            else:
                Touched.objects.create(version=version, since=period.since.replace(hour=0), day=True)
    return True


def _due(limit: int) -> list[Period]:
    with connection.cursor() as cursor:
        cursor.execute(DUE.format(**WAITS), [limit])
        return [Period(*row) for row in cursor.fetchall()]


def _take_turns(period: Period) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '120s'")
        cursor.execute("SET LOCAL lock_timeout = '60s'")
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, period.version_id % 2**31])


def _write(version: ModelVersion, period: Period) -> None:
    """Put the figures in the place of those that there were."""
    rows = [
        MetricRecord(
            model_id=version.model_id, version=version, source=MetricRecord.Source.LOGGED, since=period.since,
            bucket=period.bucket, recorded_at=period.until, name=name, group=group, value=value, count=count,
            estimated=estimated,
        )
        for group, figures in _figures(version, period).items()
        for name, value, count, estimated in figures
    ]  # fmt: skip
    stood = MetricRecord.objects.filter(version=version, source=MetricRecord.Source.LOGGED, bucket=period.bucket)
    stood.filter(since=period.since).delete()
    MetricRecord.objects.bulk_create(rows)


def _remove_hours(version: ModelVersion, before: datetime) -> None:
    """Figures by the hour are kept for a month, those by the day for good."""
    hours = MetricRecord.objects.filter(version=version, source=MetricRecord.Source.LOGGED, bucket="hour")
    hours.filter(since__lt=before).delete()


Figure = tuple[str, float, int, bool]


def _figures(version: ModelVersion, period: Period) -> dict[str, list[Figure]]:
    """By group, '' for all: (name, value, how many it rests on, whether it is estimated)."""
    ends = [least_at(period.since), least_at(period.until)]
    with connection.cursor() as cursor:
        cursor.execute(PREDICTIONS, [version.pk, *ends, GROUPS + 1])
        answered = {row[0]: row[1:] for row in cursor.fetchall()}
        groups = [group for group in answered if group]
        cursor.execute(OF_ALL, [version.model_id, version.pk, *ends])
        told = {row[0]: row[1:] for row in cursor.fetchall()}
        if groups:
            cursor.execute(OF_GROUPS, [version.model_id, version.pk, *ends, groups])
            told |= {row[0]: row[1:] for row in cursor.fetchall()}
    if not answered[""][0]:
        return {}
    return {
        group: _of_use(*row, version) + (_of_truth(*told[group], version) if group in told else [])
        for group, row in answered.items()
    }


def _of_use(
    requests: int, errors: int, latency: list[float] | None, sure: int, confidence: float | None, version: ModelVersion
) -> list[Figure]:
    found: list[Figure] = [
        (names.REQUESTS, requests, requests, False),
        (names.ERRORS, errors / requests, requests, False),
    ]
    if latency:
        found += [(names.P50, latency[0], requests - errors, False), (names.P95, latency[1], requests - errors, False)]
    if confidence is not None and estimates.can_be_estimated(version.model.recipe):
        found.append((names.ACCURACY, estimates.accuracy(confidence, version.metrics), sure, True))
    return found


def _of_truth(
    classes: int, right: Any, numbers: int, off: float | None, bias: float | None, rated: int, value: float | None,
    version: ModelVersion,
) -> list[Figure]:  # fmt: skip
    found: list[Figure] = []
    if classes:
        found.append((names.ACCURACY, float(right), classes, False))
    if numbers and off is not None and bias is not None:
        found.append((names.MAE, off, numbers, False))
        # Of a forecast only is known by how much it was off on average, and not in which direction.
        recipe = RECIPES.get(version.model.recipe)
        if recipe is None or recipe.output != "forecast":
            found.append((names.BIAS, bias, numbers, False))
    if rated and value is not None:
        found.append((names.FEEDBACK, value, rated, False))
    return found

"""What is counted of an experiment, in the database.

Sums of outcomes are made anew at each look, from all outcomes of the arms, by the index that has them together. So
truth that comes late or is corrected is in them, nothing is counted twice, and no rounding adds up. It takes about two
seconds for a million outcomes; the more it takes, the less often it is done (`looking.look`). Answers are many more,
and never change: they are counted on from where the last look ended, and of times to answer, of shadows and of keys
the first so many are taken, which are the same at each look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Min
from django.db.models.functions import Now

from performance.experiments.metrics import Metric, is_rank
from performance.models import ArmSum, Experiment
from registry.models import RouteArm

TIMED = 100_000  # answers of each arm whose times count
PAIRED = 200_000  # answers of each shadow that are compared
DIVIDED = 200_000  # answers of the route by whose keys the division is checked
WRITTEN = timedelta(seconds=60)  # after so long an answer is in its table
MEMORY = "256MB"  # for putting outcomes of one key together

OUTCOMES = {
    Metric.CORRECT: "CASE WHEN o.correct THEN 1.0 WHEN NOT o.correct THEN 0.0 END",
    Metric.FEEDBACK_SHARE: "CASE WHEN o.value BETWEEN 0 AND 1 THEN o.value END",
    Metric.FEEDBACK_MEAN: "o.value",
    Metric.FEEDBACK_RANK: "o.value",
    Metric.ERROR_MEAN: "abs(o.error)",
    Metric.ERROR_RANK: "abs(o.error)",
}
# The truth of an answer that was given is that of its shadows, too. (the shadow's figure, the control's)
TRUTH = "(CASE WHEN jsonb_typeof(o.truth) = 'number' THEN (o.truth #>> '{}')::float8 END)"
# … of a forecast, whose truth is several numbers, as it was judged when the truth came.
ERRORS = (f"coalesce(abs(s.score - {TRUTH}), abs(own.error))", "abs(o.error)")
PAIRS = {
    Metric.CORRECT: (
        "(CASE WHEN s.label = '' THEN NULL WHEN s.label = left(o.truth #>> '{}', 200) THEN 1.0 ELSE 0.0 END)",
        OUTCOMES[Metric.CORRECT],
    ),
    Metric.ERROR_MEAN: ERRORS,
    Metric.ERROR_RANK: ERRORS,
    Metric.LATENCY: ("s.latency_ms", "g.latency_ms"),
}
# What chance gave to an arm: a key, or a request (all of whose answers have one time).
UNIT = "{0}.key, CASE WHEN {0}.key = '' THEN {0}.{1} END"
# Steps of one percent, the same for all experiments and times, so that counts can be added up.
STEP = "CASE WHEN v = 0 THEN 0 ELSE sign(v) * greatest(1, floor(ln(abs(v)) * 100) + 3000) END::int"
OF_OUTCOMES = """
    SELECT o.arm_id, count(*) AS n, avg({value}) AS v FROM registry_outcome o
    WHERE o.arm_id = ANY(%s) AND {value} IS NOT NULL GROUP BY o.arm_id, {unit}
"""
OF_TIMES = """
    SELECT p.arm_id, count(*) AS n, avg(p.latency_ms) AS v FROM unnest(%s) AS a(id)
    CROSS JOIN LATERAL (SELECT arm_id, key, at, latency_ms FROM registry_prediction
        WHERE arm_id = a.id AND error = '' ORDER BY id LIMIT {timed}) p GROUP BY p.arm_id, {unit}
"""
FIGURES = "SELECT arm_id, sum(n), count(*), avg(v), coalesce(var_samp(v), 0) FROM ({units}) unit GROUP BY arm_id"
STEPS = "SELECT arm_id, {step}, count(*) FROM ({units}) unit GROUP BY 1, 2"
SHADOWED = """
    FROM (SELECT * FROM registry_prediction WHERE arm_id = %s AND error = '' ORDER BY id LIMIT {paired}) s
"""
OF_PAIRS = """
    SELECT count(*), sum(n), avg(d), coalesce(var_samp(d), 0), avg(own), avg(beside), sum(above), sum(below) FROM (
        SELECT count(*) AS n, avg({difference}) AS d, avg(own) AS own, avg(beside) AS beside,
            count(*) FILTER (WHERE own > beside) AS above, count(*) FILTER (WHERE own < beside) AS below
        FROM (SELECT s.key, s.at, {own} AS own, {beside} AS beside {shadowed} {joined}) p
        WHERE own IS NOT NULL AND beside IS NOT NULL GROUP BY {unit}
    ) unit
"""
AGREEMENT = """
    SELECT count(*), count(*) FILTER (WHERE CASE WHEN s.label <> '' OR g.label <> '' THEN s.label = g.label
        ELSE s.output IS NOT DISTINCT FROM g.output END), avg(s.latency_ms), avg(g.latency_ms)
    {shadowed} JOIN registry_prediction g ON g.id = s.shadow_of WHERE g.error = ''
"""
ANSWERS = "SELECT arm_id, count(*) FROM registry_prediction WHERE arm_id = ANY(%s) AND id >= %s AND id < %s GROUP BY 1"
KEYS = """
    SELECT arm_id, count(*) FROM (
        SELECT p.arm_id FROM (
            SELECT arm_id, key, at FROM registry_prediction
            WHERE model_id = %s AND id >= %s AND id < %s AND arm_id = ANY(%s) ORDER BY id LIMIT {divided}
        ) p GROUP BY p.arm_id, {unit}
    ) unit GROUP BY arm_id
"""


@dataclass
class Counted:
    """What one look counts; `sums` has values of `ArmSum` by arm."""

    until: datetime
    sums: dict[int, dict[str, Any]] = field(default_factory=dict)


def count(experiment: Experiment, arms: Sequence[RouteArm], until: datetime | None = None) -> Counted:
    """Everything that is known of the arms now. Writes nothing. `until` None: answers of the last minute, of which some
    may still be on their way, are left to the next look."""
    with _steady() as now:
        found = Counted(until or max(experiment.counted_until, now - WRITTEN), {arm.pk: {} for arm in arms})
        _count_answers(experiment, arms, found)
        if experiment.kind == Experiment.Kind.SHADOW:
            for arm in arms:
                if arm.shadow:
                    found.sums[arm.pk] |= _pairs(experiment.metric, arm) | _agreement(arm)
        else:
            _figures(experiment.metric, arms, found)
            _keys(experiment, arms, found, now)
    return found


def finish(experiment: Experiment, arms: Sequence[RouteArm]) -> bool:
    """Count the last answers of an experiment that has ended, once all of them are in their table; of one without a
    verdict, which rests on what was known then, what became of them too. False when somebody else has just done it."""
    assert experiment.ended_at is not None
    until = experiment.ended_at + WRITTEN
    if experiment.status != Experiment.Status.DECIDED:
        return write(experiment, count(experiment, arms, until))
    found = Counted(until, {arm.pk: {} for arm in arms})
    _count_answers(experiment, arms, found)
    return write(experiment, found)


@transaction.atomic
def write(experiment: Experiment, counted: Counted) -> bool:
    """Put down what was counted; the caller holds the experiment. False when another look was faster."""
    before = Experiment.objects.filter(pk=experiment.pk, counted_until=experiment.counted_until)
    if not before.update(counted_until=counted.until):
        return False
    for sums in ArmSum.objects.filter(arm__in=counted.sums):
        values = counted.sums[sums.pk]
        values["answers"] += sums.answers
        ArmSum.objects.filter(pk=sums.pk).update(**values, updated_at=Now())
    experiment.counted_until = counted.until
    return True


def _figures(metric: str, arms: Sequence[RouteArm], found: Counted) -> None:
    keys = [arm.pk for arm in arms]
    if metric == Metric.LATENCY:
        units = OF_TIMES.format(timed=TIMED, unit=UNIT.format("p", "at"))
    else:
        units = OF_OUTCOMES.format(value=OUTCOMES[Metric(metric)], unit=UNIT.format("o", "predicted_at"))
    for arm, outcomes, count, mean, variance in _rows(FIGURES.format(units=units), [keys]):
        found.sums[arm] |= {
            "outcomes": int(outcomes), "units": count, "mean": mean, "variance": variance, "figure": mean,
        }  # fmt: skip
    if is_rank(metric):
        for values in found.sums.values():
            values["bins"] = {}
        for arm, step, count in _rows(STEPS.format(units=units, step=STEP), [keys]):
            found.sums[arm]["bins"][str(step)] = count


def _pairs(metric: str, arm: RouteArm) -> dict[str, Any]:
    own, beside = PAIRS[Metric(metric)]
    given = "registry_prediction g ON g.id = s.shadow_of WHERE g.error = ''"
    outcome = (
        "registry_outcome o ON o.prediction_id = s.shadow_of LEFT JOIN registry_outcome own ON own.prediction_id = s.id"
    )
    sql = OF_PAIRS.format(
        # Of ranks only who is ahead counts: by how much is left to chance's long tails.
        difference="sign(own - beside)" if is_rank(metric) else "own - beside",
        own=own, beside=beside, shadowed=SHADOWED.format(paired=PAIRED), unit=UNIT.format("p", "at"),
        joined=f"JOIN {given if metric == Metric.LATENCY else outcome}",
    )  # fmt: skip
    units, outcomes, mean, variance, figure, other, above, below = next(_rows(sql, [arm.pk]))
    return {
        "units": units, "outcomes": int(outcomes or 0), "mean": mean or 0.0, "variance": variance, "figure": figure,
        "beside": other, "above": int(above or 0), "below": int(below or 0),
    }  # fmt: skip


def _agreement(arm: RouteArm) -> dict[str, Any]:
    sql = AGREEMENT.format(shadowed=SHADOWED.format(paired=PAIRED))
    compared, agreed, latency, other = next(_rows(sql, [arm.pk]))
    return {"compared": compared, "agreed": agreed, "latency_ms": latency, "control_latency_ms": other}


def _count_answers(experiment: Experiment, arms: Sequence[RouteArm], found: Counted) -> None:
    """How many answers came since the last look; `write` adds them."""
    for values in found.sums.values():
        values["answers"] = 0
    since, until = first_id(experiment.counted_until), first_id(found.until)
    for arm, new in _rows(ANSWERS, [[arm.pk for arm in arms], since, until]):
        found.sums[arm]["answers"] = new


def _keys(experiment: Experiment, arms: Sequence[RouteArm], found: Counted, now: datetime) -> None:
    """The keys of the first answers, as long as all arms were there."""
    ids = [arm.pk for arm in arms]
    until = RouteArm.objects.filter(pk__in=ids).aggregate(first=Min("withdrawn_at"))["first"] or now + WRITTEN
    span = [experiment.model_id, first_id(experiment.started_at), first_id(until), ids]
    for arm, keys in _rows(KEYS.format(divided=DIVIDED, unit=UNIT.format("p", "at")), span):
        found.sums[arm]["keys"] = keys


def first_id(at: datetime) -> UUID:
    """The least id that a prediction of this moment can have (UUID of version 7, by milliseconds)."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


@contextmanager
def _steady() -> Iterator[datetime]:
    """All counts of one look are of one moment, the database's now."""
    with transaction.atomic(), connection.cursor() as cursor:
        if not connection.savepoint_ids:  # within the transaction of a test it can't be asked for any more
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute(f"SET LOCAL work_mem = '{MEMORY}'")
        cursor.execute("SET LOCAL statement_timeout = '10min'")  # ten million outcomes take a while, and nobody waits
        cursor.execute("SELECT now()")
        yield cursor.fetchone()[0]


def _rows(sql: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        yield from cursor.fetchall()

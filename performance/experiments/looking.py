"""A look at an experiment: count, judge, put down, and end it when there is a verdict.

Counting holds nothing: other looks and people go on meanwhile. What was counted is written under the lock of the
experiment, together with all that follows from it, so a look that dies has not happened.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from common.background import QUEUE, put
from common.outages import a_turn
from performance.experiments import judging, promoting, sums, verbs, words
from performance.experiments.evidence import LEAST
from performance.experiments.judging import Finding, Plan, Sums, Verdict
from performance.models import ArmSum, Experiment, Look
from performance.rounds import alone
from registry import routing
from registry.models import RouteArm

log = logging.getLogger(__name__)

AGAIN = timedelta(seconds=30)  # between two looks …
REST = 20  # … or so many times as long as the last one took
FINISHED = 50  # ended ones whose last answers one task counts
LOST = timedelta(minutes=15)  # after so long one whose look failed is looked at again
BUDGET = 10.0  # seconds of one task
LOCK = 7_205_914  # any number: whoever looks at experiments takes turns
GROWN = 1.02  # how many more outcomes make a look worth keeping


def look(pk: int) -> Look | None:
    """Look at a running experiment now; the look, or None when nothing new is known, or it has ended."""
    row = _running(pk)
    if row is None:
        return None
    began = time.monotonic()
    counted = sums.count(row, arms_of(row))
    with transaction.atomic():
        held = verbs.locked(pk)
        if held.status != Experiment.Status.RUNNING or not sums.write(row, counted):
            return None
        made = _judge(held)
        rest = max(AGAIN, timedelta(seconds=REST * (time.monotonic() - began)))
        Experiment.objects.filter(pk=pk).update(looked_at=Now(), due_at=Now() + rest)
        verbs.tell(held)
    return made


def run(budget: float = BUDGET) -> int:
    """Look at the experiments whose time has come, one after another, that first which was looked at longest ago;
    returns at how many. One process of the hub does so at a time (0 for the others), and after `budget` seconds the
    rest is left to another task: what waits for a worker beside it has its turn in between."""
    until, looked = time.monotonic() + budget, 0
    with alone(LOCK) as mine:
        while mine and time.monotonic() < until and (pk := _take()):
            _looked(pk)
            looked += 1
    if mine:
        _finish()
    if mine and _due().exists():
        put(QUEUE, verbs.TASK)
    return looked


def sweep() -> bool:
    """Have the experiments looked at whose time has come; whether there are any."""
    due = _due().exists() or _unfinished().exists()
    if due:
        put(QUEUE, verbs.TASK)
    return due


def _unfinished() -> QuerySet[Experiment]:
    """Those that ended, and whose last answers are not counted yet."""
    over = Experiment.objects.filter(ended_at__lt=Now() - sums.WRITTEN)
    return over.filter(counted_until__lt=F("ended_at") + sums.WRITTEN)


def _finish() -> None:
    for row in _unfinished().order_by("pk")[:FINISHED]:
        sums.finish(row, arms_of(row))
        verbs.tell(row)


def _due() -> QuerySet[Experiment]:
    return Experiment.objects.filter(status=Experiment.Status.RUNNING, due_at__lte=Now())


def _take() -> int | None:
    """The next one, taken: should this process die, it is looked at again after a while. None: none is due."""
    pk = _due().order_by(F("looked_at").asc(nulls_first=True), "pk").values_list("pk", flat=True).first()
    if pk is not None:
        Experiment.objects.filter(pk=pk).update(due_at=Now() + LOST)
    return pk


def _looked(pk: int) -> None:
    with a_turn(log, "experiment %s can't be looked at", pk):
        look(pk)


def arms_of(row: Experiment) -> list[RouteArm]:
    """The arms with their versions, the control first."""
    arms = RouteArm.objects.filter(route=row.route_id).select_related("version__model", "sums")
    return list(arms.order_by("-control", "id"))


def plan_of(row: Experiment, arm: RouteArm, arms: Sequence[RouteArm]) -> Plan:
    """What one variant is judged by: its part of the outcomes, and of the errors that are allowed."""
    paired = row.kind == Experiment.Kind.SHADOW
    control, *variants = arms
    part = 2.0 if paired else (control.weight + arm.weight) / sum(one.weight for one in arms)
    return Plan(
        metric=row.metric,
        higher_is_better=row.higher_is_better,
        expected=max(2 * LEAST, round(row.expected * part)),
        minimum=row.minimum,
        alpha=row.alpha / len(variants),
        margin=row.margin,
        paired=paired,
    )


def sums_of(kept: ArmSum) -> Sums:
    """What was counted, as it is judged."""
    bins = {int(step): count for step, count in kept.bins.items()}
    return Sums(kept.units, kept.outcomes, kept.mean, kept.variance, bins, kept.above, kept.below)


def _judge(row: Experiment) -> Look | None:
    arms = arms_of(row)
    control, *variants = arms
    findings = [_found(row, arm, arms) for arm in variants]
    ratio_p = None
    if row.kind == Experiment.Kind.AB:
        ratio_p = judging.division([arm.sums.keys for arm in arms], [arm.weight for arm in arms])
    verdict, won, over = judging.together(findings, ratio_p, row.higher_is_better)
    said = [words.of_arm(row, arm, control, finding) for arm, finding in zip(variants, findings, strict=True)]
    winner = variants[won] if won is not None else None
    row.words, row.verdict = words.of_all(row, verdict, said, winner, ratio_p), Experiment.Verdict(verdict)
    made = _keep(row, ratio_p, [_told(arm, finding) for arm, finding in zip(variants, findings, strict=True)])
    Experiment.objects.filter(pk=row.pk).update(verdict=row.verdict, words=row.words)
    if over:
        verbs.end(row, Experiment.Status.DECIDED, None, winner=winner)
        promoting.note(row, variants, findings, said, control)
    elif not _ended_otherwise(row) and verdict is not Verdict.UNTRUSTED:
        _withdraw(row, variants, findings)
    return made


def _found(row: Experiment, arm: RouteArm, arms: Sequence[RouteArm]) -> Finding:
    found = judging.compare(plan_of(row, arm, arms), sums_of(arms[0].sums), sums_of(arm.sums))
    # One that was withdrawn gets no more outcomes; what was found of it then stands.
    return replace(found, verdict=Verdict.WORSE, more=None) if arm.withdrawn_at else found


def _withdraw(row: Experiment, variants: Sequence[RouteArm], findings: Sequence[Finding]) -> None:
    """A variant that does harm answers nobody any more while the others go on."""
    for arm, finding in zip(variants, findings, strict=True):
        if finding.verdict is Verdict.WORSE and not arm.withdrawn_at:
            RouteArm.objects.filter(pk=arm.pk, withdrawn_at=None).update(withdrawn_at=Now())


def _ended_otherwise(row: Experiment) -> bool:
    """End it when its time is over, or another version than its control is in use."""
    late = Experiment.objects.filter(pk=row.pk, started_at__lte=Now() - timedelta(days=1) * F("max_days"))
    if routing.overtaken(routing.open_arms(row.model)):
        why = "Stopped: another version was promoted meanwhile, and answers."
        verbs.end(row, Experiment.Status.STOPPED, None, words=words.ended(row, why))
    elif late.exists():
        why = f"{row.max_days} day{'s' if row.max_days > 1 else ''} are over."
        verbs.end(row, Experiment.Status.EXPIRED, None, words=words.ended(row, why))
    else:
        return False
    return True


def _keep(row: Experiment, ratio_p: float | None, told: Sequence[Mapping[str, Any]]) -> Look | None:
    """Put the look down, unless it says what the last one said."""
    last = Look.objects.filter(experiment=row).first()
    if last and last.verdict == row.verdict and _outcomes(told) < GROWN * _outcomes(last.arms):
        return None
    if last and _outcomes(told) == _outcomes(last.arms) and last.words == row.words:
        return None
    return Look.objects.create(
        experiment=row, at=Now(), arms=list(told), ratio_p_value=ratio_p, verdict=row.verdict, words=row.words
    )


def _outcomes(told: Sequence[Mapping[str, Any]]) -> int:
    return sum(one["theirs"] + one["ours"] for one in told)


def _told(arm: RouteArm, finding: Finding) -> dict[str, Any]:
    effect, known = finding.effect, finding.known
    sure = known is not None and known.low != -float("inf")
    return {
        "arm": arm.pk,
        "theirs": effect.theirs if effect else 0,
        "ours": effect.ours if effect else 0,
        "figure": arm.sums.figure,
        "beside": arm.sums.beside,
        "value": effect.value if effect else None,
        "low": known.low if known and sure else None,
        "high": known.high if known and sure else None,
        "p_value": known.p_value if known and sure else None,
        "fixed_p_value": effect.p_value if effect else None,
        "test": effect.test if effect else "",
        "verdict": finding.verdict.value,
        "more": finding.more,
    }


def _running(pk: int) -> Experiment | None:
    return Experiment.objects.filter(pk=pk, status=Experiment.Status.RUNNING).select_related("model").first()

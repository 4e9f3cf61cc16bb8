"""The verdict on an experiment, from what was counted. Plain functions: the same for pages, tests and simulations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from performance.experiments import effects, ratio
from performance.experiments.effects import Effect
from performance.experiments.evidence import LEAST, Evidence, evidence, still_needed
from performance.experiments.metrics import Metric, is_rank, is_share


class Verdict(StrEnum):
    """As `Experiment.Verdict`."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no_difference"
    NOT_YET = "not_yet"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True)
class Plan:
    """What was fixed when the experiment began. `expected` is of the control and one variant together."""

    metric: str
    higher_is_better: bool
    expected: int
    minimum: int
    alpha: float  # of one variant: the experiment's, divided by how many there are
    margin: float
    paired: bool = False


@dataclass(frozen=True)
class Sums:
    """What was counted of one arm, as in `ArmSum`."""

    units: int
    outcomes: int = 0
    mean: float = 0.0
    variance: float = 0.0
    bins: Mapping[int, int] = field(default_factory=dict)
    above: int = 0
    below: int = 0


@dataclass(frozen=True)
class Finding:
    """One variant beside the control. `effect` None: there are too few outcomes for any figure."""

    verdict: Verdict
    effect: Effect | None = None
    known: Evidence | None = None
    more: int | None = None  # outcomes until there is a verdict, about, if there will be one


def compare(plan: Plan, theirs: Sums, ours: Sums) -> Finding:
    """A variant against the control. Of a shadow test `ours` holds the pairs, and `theirs` is not looked at."""
    effect = effect_of(plan, theirs, ours)
    if effect is None:
        return Finding(Verdict.NOT_YET)
    known = evidence(effect, plan.expected, plan.alpha)
    verdict = _verdict(plan, effect, known)
    more = _more(plan, effect) if verdict is Verdict.NOT_YET else None
    return Finding(verdict, effect, known, more)


def effect_of(plan: Plan, theirs: Sums, ours: Sums) -> Effect | None:
    """The difference by the test that suits the metric; None below two units of each."""
    if min(ours.units, ours.units if plan.paired else theirs.units) < 2:
        return None
    metric = Metric(plan.metric)
    if plan.paired:
        single = ours.units == ours.outcomes and metric is not Metric.ERROR_MEAN
        bounded = metric is not Metric.ERROR_MEAN
        apart = (ours.above, ours.below) if single else None
        return effects.pairs(ours.units, ours.mean, ours.variance, bounded, apart)
    if is_rank(metric):
        return _with_doubt(effects.ranks_of_counts(theirs.bins, ours.bins))
    sides = [(side.units, side.mean, side.variance) for side in (theirs, ours)]
    if not is_share(metric):
        return effects.means(*sides)
    if all(side.units == side.outcomes for side in (theirs, ours)):  # each unit is a single yes or no
        hits = [(round(units * mean), units) for units, mean, _ in sides]
        return effects.proportions(*hits) if _whole(sides) else effects.shares(*sides)
    return effects.shares(*sides)


def _whole(sides: Sequence[tuple[int, float, float]]) -> bool:
    """Whether all values are 0 or 1: then the variance follows from the mean."""
    return all(
        math.isclose(variance * (units - 1), units * mean * (1 - mean), rel_tol=1e-6, abs_tol=1e-6)
        for units, mean, variance in sides
    )


def _with_doubt(effect: Effect) -> Effect:
    """Values that are all apart, or all equal, leave as much doubt as one of each side that is otherwise would."""
    least = 2 / min(effect.theirs, effect.ours)
    if effect.standard_error >= least:
        return effect
    return Effect(effect.kind, effect.value, least, effect.theirs, effect.ours, effect.test, effect.p_value)


def _verdict(plan: Plan, effect: Effect, known: Evidence) -> Verdict:
    if effect.standard_error == 0 or min(effect.theirs, effect.ours) < LEAST:
        return Verdict.NOT_YET
    low, high = (known.low, known.high) if plan.higher_is_better else (-known.high, -known.low)
    if high < 0 and high < -plan.margin:  # harm is not waited for
        return Verdict.WORSE
    if min(effect.theirs, effect.ours) < plan.minimum:
        return Verdict.NOT_YET
    if -plan.margin < low and high < plan.margin:
        return Verdict.NO_DIFFERENCE
    if high < 0:
        return Verdict.WORSE
    return Verdict.BETTER if low > 0 else Verdict.NOT_YET


def _more(plan: Plan, effect: Effect) -> int | None:
    target = max(abs(effect.value), plan.margin - abs(effect.value))
    needed = still_needed(effect, plan.expected, target, plan.alpha)
    least = sum(max(0, plan.minimum - count) for count in (effect.theirs, effect.ours))
    if plan.paired:  # a pair is one outcome
        return None if needed is None else max(math.ceil(needed / 2), least // 2)
    return None if needed is None else max(needed, least)


def division(keys: Sequence[int], weights: Sequence[int]) -> float | None:
    """The p-value, at all looks together, that keys were divided by the weights; None when there are none."""
    return ratio.ratio_p_value(keys, weights) if sum(keys) else None


def together(findings: Sequence[Finding], ratio_p: float | None, higher: bool) -> tuple[Verdict, int | None, bool]:
    """(the verdict on the whole experiment, which variant won, whether that ends it).

    One variant that is better ends it, however the others stand; else it ends when all are known.
    """
    if ratio_p is not None and ratio_p < ratio.ALPHA:
        return Verdict.UNTRUSTED, None, False
    better = [number for number, one in enumerate(findings) if one.verdict is Verdict.BETTER]
    if better:
        return Verdict.BETTER, max(better, key=lambda number: _gain(findings[number], higher)), True
    if any(one.verdict is Verdict.NOT_YET for one in findings):
        return Verdict.NOT_YET, None, False
    worse = all(one.verdict is Verdict.WORSE for one in findings)
    return Verdict.WORSE if worse else Verdict.NO_DIFFERENCE, None, True


def _gain(finding: Finding, higher: bool) -> float:
    value = finding.effect.value if finding.effect else -math.inf
    return value if higher else -value

"""How much better one variant does than another: the difference, how sure it is, and the test that suits the figure.

Three kinds of figures: yes or no (*proportion*), numbers whose mean counts (*mean*), and numbers of which only their
order counts, as times with a long tail (*rank*). Tests of a fixed sample are those of scipy and statsmodels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class Kind(StrEnum):
    PROPORTION = "proportion"
    MEAN = "mean"
    RANK = "rank"


@dataclass(frozen=True)
class Effect:
    """What `ours` has over `theirs`, in the figure's unit; of ranks, the probability that a value of ours is above one
    of theirs, less that of the contrary, so -1 to 1.

    `p_value` is that of the test for a sample whose size was fixed beforehand: to be read, not to decide on the way.
    """

    kind: Kind
    value: float
    standard_error: float
    theirs: int  # how many outcomes
    ours: int
    test: str
    p_value: float

    @property
    def count(self) -> int:
        return self.theirs + self.ours


def proportions(theirs: tuple[int, int], ours: tuple[int, int]) -> Effect:
    """Of (successes, outcomes); the score test and the standard error of Agresti and Caffo, sound near 0 and 1."""
    import numpy as np
    from statsmodels.stats.proportion import test_proportions_2indep

    (hits_a, count_a), (hits_b, count_b) = theirs, ours
    _check_counts(count_a, count_b)
    a, b = (hits_a + 1) / (count_a + 2), (hits_b + 1) / (count_b + 2)
    error = math.sqrt(a * (1 - a) / (count_a + 2) + b * (1 - b) / (count_b + 2))
    same = hits_a * count_b == hits_b * count_a
    with np.errstate(divide="ignore"):  # of ratios that it gives as well
        p = 1.0 if same else float(test_proportions_2indep(hits_b, count_b, hits_a, count_a, method="score").pvalue)
    value = hits_b / count_b - hits_a / count_a
    return Effect(Kind.PROPORTION, value, error, count_a, count_b, "score test of two proportions", p)


def shares(theirs: tuple[int, float, float], ours: tuple[int, float, float]) -> Effect:
    """Of (units, mean, variance with n - 1), where each unit's value is a share between 0 and 1: a customer's, who
    answered several times. A success and a failure are added to each side, as `proportions` does, so that units that
    are all alike leave room for doubt."""
    plain = means(theirs, ours)
    error = math.sqrt(sum(_doubtful(*side) for side in (theirs, ours)))
    return replace(plain, kind=Kind.PROPORTION, standard_error=error)


def _doubtful(count: int, mean: float, variance: float) -> float:
    """The squared error of a mean of shares, with one more 0 and one more 1 among them."""
    total, squares = count * mean + 1, variance * (count - 1) + count * mean**2 + 1
    share = total / (count + 2)
    return (squares / (count + 2) - share**2) / (count + 2)


def means(theirs: tuple[int, float, float], ours: tuple[int, float, float]) -> Effect:
    """Of (outcomes, mean, variance with n - 1); Welch's test."""
    from scipy.stats import ttest_ind_from_stats

    (count_a, mean_a, variance_a), (count_b, mean_b, variance_b) = theirs, ours
    _check_counts(count_a, count_b)
    error = math.sqrt(variance_a / count_a + variance_b / count_b)
    if error == 0:
        p = 1.0 if mean_a == mean_b else 0.0
    else:
        found = ttest_ind_from_stats(
            mean_b, math.sqrt(variance_b), count_b, mean_a, math.sqrt(variance_a), count_a, equal_var=False
        )
        p = float(found.pvalue)
    return Effect(Kind.MEAN, mean_b - mean_a, error, count_a, count_b, "Welch's t-test", p)


def ranks(theirs: Sequence[float], ours: Sequence[float]) -> Effect:
    """The test of Brunner and Munzel, which unlike Mann and Whitney's allows for different spreads."""
    import numpy as np
    from scipy.stats import brunnermunzel, rankdata

    a, b = np.asarray(theirs, float), np.asarray(ours, float)
    _check_counts(len(a), len(b))
    together = rankdata(np.concatenate([a, b]))
    # The share of the other's values below each value: how it is placed among them (DeLong's structural components).
    placed_a = (together[: len(a)] - rankdata(a)) / len(b)
    placed_b = (together[len(a) :] - rankdata(b)) / len(a)
    value = 2 * float(placed_b.mean()) - 1
    error = 2 * math.sqrt(placed_a.var(ddof=1) / len(a) + placed_b.var(ddof=1) / len(b))
    apart = error == 0  # no value of one lies among those of the other, or all are equal
    p = float(value == 0) if apart else float(brunnermunzel(a, b).pvalue)
    return Effect(Kind.RANK, value, error, len(a), len(b), "Brunner and Munzel's test", p)


def ranks_of_counts(theirs: Mapping[int, int], ours: Mapping[int, int]) -> Effect:
    """`ranks` of values that were counted in steps: step → how many. Values of one step count as equal."""
    import numpy as np
    from scipy.stats import t

    steps = sorted({*theirs, *ours})
    a, b = (np.array([side.get(step, 0) for step in steps], float) for side in (theirs, ours))
    count_a, count_b = int(a.sum()), int(b.sum())
    _check_counts(count_a, count_b)
    (_, spread_a), (mean_b, spread_b) = _placed(a, b), _placed(b, a)
    value, square = 2 * mean_b - 1, spread_a / count_a + spread_b / count_b
    if square == 0:
        p = float(value == 0)
    else:
        freedom = square**2 / ((spread_a / count_a) ** 2 / (count_a - 1) + (spread_b / count_b) ** 2 / (count_b - 1))
        p = float(2 * t.sf(abs(value) / 2 / math.sqrt(square), freedom))
    return Effect(Kind.RANK, value, 2 * math.sqrt(square), count_a, count_b, "Brunner and Munzel's test", p)


def _placed(side: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean and variance (with n - 1) of the share of the other's values below each of this side's."""
    below = (other.cumsum() - other / 2) / other.sum()
    count, mean = side.sum(), float((side * below).sum() / side.sum())
    return mean, float((side * (below - mean) ** 2).sum() / (count - 1))


def pairs(units: int, mean: float, variance: float, bounded: bool, apart: tuple[int, int] | None = None) -> Effect:
    """Of the differences between two that answered the same inputs: units, mean, variance with n - 1. `bounded`: they
    lie between -1 and 1, and one difference of each end, half counted, is added, as Agresti and Min do.

    `apart` (how often only the one and only the other was right) brings McNemar's exact test of signs, else it is a
    paired t-test.
    """
    from scipy.stats import binomtest, t

    _check_counts(units)
    error = math.sqrt(variance / units)
    if apart is not None:
        p = float(binomtest(apart[0], sum(apart)).pvalue) if sum(apart) else 1.0
        test = "McNemar's exact test of signs"
    elif error == 0:
        p, test = float(mean == 0), "paired t-test"
    else:
        p, test = float(2 * t.sf(abs(mean) / error, units - 1)), "paired t-test"
    if bounded:
        total, squares = units * mean, variance * (units - 1) + units * mean**2 + 1
        error = math.sqrt((squares - total**2 / (units + 2)) / (units + 2) / (units + 2))
    return Effect(Kind.MEAN, mean, error, units, units, test, p)


def _check_counts(*counts: int) -> None:
    if min(counts) < 2:
        raise ValueError("An effect takes two outcomes of each at least.")

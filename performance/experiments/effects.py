"""How much better one variant does than another: the difference, how sure it is, and the test that suits the figure.

Three kinds of figures: yes or no (*proportion*), numbers whose mean counts (*mean*), and numbers of which only their
order counts, as times with a long tail (*rank*). Tests of a fixed sample are those of scipy and statsmodels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


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


def _check_counts(*counts: int) -> None:
    if min(counts) < 2:
        raise ValueError("An effect takes two outcomes of each at least.")

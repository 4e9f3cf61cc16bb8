"""Effects of one variant over another, and what may be said of them while outcomes still come in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import brunnermunzel, ttest_ind
from statsmodels.stats.proportion import test_proportions_2indep as score_test

from performance.experiments import effects
from performance.experiments.evidence import ALPHA, LEAST, evidence


def test_the_share_of_successes_is_judged_by_a_score_test():
    found = effects.proportions((30, 200), (45, 210))
    assert found.value == pytest.approx(45 / 210 - 30 / 200)
    assert found.p_value == pytest.approx(score_test(45, 210, 30, 200, method="score").pvalue)
    assert found.standard_error == pytest.approx(
        math.sqrt(0.15 * 0.85 / 200 + (45 / 210) * (165 / 210) / 210), rel=0.02
    )


def test_nothing_but_successes_leaves_room_for_doubt():
    found = effects.proportions((50, 50), (60, 60))
    assert found.value == 0 and found.p_value == 1 and found.standard_error > 0


def test_means_are_judged_by_welch_s_test():
    random = np.random.default_rng(1)
    a, b = random.normal(0, 1, 80), random.normal(0.4, 3, 120)
    found = effects.means((80, a.mean(), a.var(ddof=1)), (120, b.mean(), b.var(ddof=1)))
    assert found.value == pytest.approx(b.mean() - a.mean())
    assert found.p_value == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue)


def test_ranks_are_judged_by_how_often_one_is_above_the_other():
    random = np.random.default_rng(2)
    a, b = random.exponential(1, 70), random.exponential(1.6, 90)
    found = effects.ranks(a, b)
    above = (b[:, None] > a).mean() - (b[:, None] < a).mean()
    assert found.value == pytest.approx(above)
    assert found.p_value == pytest.approx(brunnermunzel(a, b).pvalue)


def test_ties_count_half_and_values_apart_are_certain():
    assert effects.ranks([1, 1, 2, 2], [1, 2, 1, 2]).value == 0
    assert effects.ranks([1, 2, 3], [4, 5, 6]).value == 1
    assert effects.ranks([1, 2, 3], [4, 5, 6]).p_value == 0
    assert effects.ranks([1, 1, 1], [1, 1, 1]).p_value == 1


@pytest.mark.parametrize("count", [0, 1])
def test_one_outcome_is_no_effect(count):
    with pytest.raises(ValueError):
        effects.proportions((0, count), (3, 9))


def test_nothing_is_said_of_a_few_outcomes():
    found = evidence(effects.proportions((0, LEAST - 1), (LEAST, LEAST)), 1000)
    assert not found.decides and found.p_value == 1 and found.low == -math.inf


def test_the_p_value_is_where_the_interval_ends_at_nothing():
    effect = effects.proportions((100, 1000), (145, 1000))
    found = evidence(effect, 2000)
    assert found.decides == (found.p_value < ALPHA)
    spread = (-2 * math.log(ALPHA) + math.log(-2 * math.log(ALPHA) + 1)) / 2000 * 2000 + 1
    margin = effect.standard_error * math.sqrt(2 * spread / (spread - 1) * math.log(spread**0.5 / found.p_value))
    assert effect.value == pytest.approx(margin)


def _proportions(random: np.random.Generator, lift: float):
    theirs, ours = random.random((2, 4000)) < np.array([[0.2], [0.2 + lift]])
    return lambda n: effects.proportions((int(theirs[:n].sum()), n), (int(ours[:n].sum()), n))


def _means(random: np.random.Generator, lift: float):
    theirs, ours = random.exponential(1, 4000), random.exponential(1, 4000) + lift
    return lambda n: effects.means(
        (n, theirs[:n].mean(), theirs[:n].var(ddof=1)), (n, ours[:n].mean(), ours[:n].var(ddof=1))
    )


def _ranks(random: np.random.Generator, lift: float):
    theirs, ours = random.lognormal(0, 2, 4000), random.lognormal(lift, 2, 4000)
    return lambda n: effects.ranks(theirs[:n], ours[:n])


def decided(make, lift: float, seed: int, looks: int, trials: int) -> tuple[float, float]:
    """The share of experiments that said yes at any look: by evidence, and by the p-value of a fixed sample."""
    places = np.unique(np.linspace(LEAST, 4000, looks).astype(int))
    by_evidence = by_test = 0
    for trial in range(trials):
        at = make(np.random.default_rng([seed, trial]), lift)
        found = [at(place) for place in places]
        by_evidence += any(evidence(one, 4000).decides for one in found)
        by_test += any(one.p_value < ALPHA for one in found)
    return by_evidence / trials, by_test / trials


@pytest.mark.parametrize(("make", "looks", "trials"), [(_proportions, 40, 1000), (_means, 40, 1000), (_ranks, 8, 300)])
def test_one_who_looks_again_and_again_is_wrong_in_one_of_twenty_at_most(make, looks, trials):
    wrong, naive = decided(make, 0.0, 7, looks, trials)
    print(f"{make.__name__}: {wrong:.3f} of {trials} without a difference said yes; read as a fixed sample {naive:.3f}")
    assert wrong <= ALPHA
    assert naive > 2 * ALPHA  # what this protects from


@pytest.mark.parametrize(("make", "lift"), [(_proportions, 0.05), (_means, 0.12), (_ranks, 0.25)])
def test_a_real_difference_is_found(make, lift):
    power, _ = decided(make, lift, 11, 8, 100)
    print(f"{make.__name__}: a difference of {lift} found in {power:.2f} of 100 experiments")
    assert power >= 0.9

"""Verdicts: right however often one looks, sound where outcomes are few, alike, or of the same customer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from bench import experiments
from bench.experiments import ALPHA, CASES, divisions, rates
from performance.experiments import effects, judging
from performance.experiments.judging import Finding, Plan, Sums, Verdict, compare
from performance.experiments.ratio import ratio_p_value

BY_TITLE = {case.title: case for case in CASES}


def plan(metric="correct", higher=True, *, margin=0.0, minimum=100, expected=4000, paired=False):
    return Plan(metric, higher, expected, minimum, ALPHA, margin, paired)


def share(count, mean):
    """Units that each answered once."""
    return Sums(count, count, mean, mean * (1 - mean) * count / (count - 1))


@pytest.mark.parametrize(
    ("title", "trials", "naively_wrong"),
    [
        ("right or wrong", 1000, 2),
        ("keys that come back", 400, 2),
        ("times, by order", 300, 2),
        ("shadow, right or wrong", 300, 1.5),
    ],
)
def test_where_there_is_no_difference_one_in_twenty_at_most_finds_one(title, trials, naively_wrong):
    made = rates(BY_TITLE[title], 0.0, trials, 8)
    print(f"{title}: {made.found:.3f} of {trials} found a difference; a test read at each look {made.naive:.3f}")
    assert made.found <= ALPHA
    assert made.naive > naively_wrong * ALPHA  # what this protects from


@pytest.mark.parametrize(
    ("title", "lift", "power"), [("right or wrong", 0.06, 0.85), ("shadow, right or wrong", 0.035, 0.85)]
)
def test_a_difference_is_found_and_with_less_than_was_expected(title, lift, power):
    made = rates(BY_TITLE[title], lift, 60, 8)
    print(f"{title}: a difference of {lift} found in {made.found:.2f}, after {made.size:.0f} outcomes")
    assert made.found >= power and made.harm == 0
    assert made.size < 0.8 * experiments.EXPECTED


def test_several_outcomes_of_one_key_are_one_finding():
    """Taken each on its own they would decide what a handful of customers can't."""
    few = compare(plan(), Sums(60, 6000, 0.2, 0.05), Sums(60, 6000, 0.3, 0.05))
    many = compare(plan(), share(6000, 0.2), share(6000, 0.3))
    assert few.verdict is Verdict.NOT_YET and many.verdict is Verdict.BETTER


def test_shares_of_keys_agree_with_proportions_where_each_came_once():
    plain = effects.proportions((30, 200), (45, 210))
    shares = effects.shares(*[(n, k / n, k / n * (1 - k / n) * n / (n - 1)) for k, n in ((30, 200), (45, 210))])
    assert shares.value == pytest.approx(plain.value)
    assert shares.standard_error == pytest.approx(plain.standard_error)


def test_ranks_of_steps_are_ranks_of_their_values():
    random = np.random.default_rng(1)
    a, b = random.integers(0, 40, 300), random.integers(3, 44, 200)
    counts = [dict(zip(*map(list, np.unique(side, return_counts=True)), strict=True)) for side in (a, b)]
    plain, counted = effects.ranks(a, b), effects.ranks_of_counts(*counts)
    for name in ("value", "standard_error", "p_value", "theirs", "ours"):
        assert getattr(counted, name) == pytest.approx(getattr(plain, name)), name


def test_pairs_are_judged_by_their_differences():
    random = np.random.default_rng(2)
    a, b = random.normal(0, 1, (2, 80))
    difference = b - a
    found = effects.pairs(80, difference.mean(), difference.var(ddof=1), bounded=False)
    assert found.p_value == pytest.approx(ttest_rel(b, a).pvalue)


def test_two_that_agree_on_everything_leave_room_for_doubt():
    found = compare(plan(margin=0.01, paired=True), Sums(0), Sums(120, 120))
    assert found.effect.standard_error > 0 and found.verdict is Verdict.NOT_YET
    many = compare(plan(margin=0.01, paired=True), Sums(0), Sums(4000, 4000))
    assert many.verdict is Verdict.NO_DIFFERENCE


@pytest.mark.parametrize("metric", ["feedback_mean", "feedback_rank"])
def test_values_that_are_all_the_same_are_no_proof(metric):
    same = Sums(100, 100, 3.0, 0.0, bins={3109: 100})
    assert compare(plan(metric, margin=0.05), same, same).verdict is Verdict.NOT_YET


def test_harm_is_not_waited_for_but_success_is():
    bad = compare(plan(minimum=2000), share(300, 0.8), share(300, 0.4))
    good = compare(plan(minimum=2000), share(300, 0.4), share(300, 0.8))
    assert bad.verdict is Verdict.WORSE and good.verdict is Verdict.NOT_YET
    assert good.more >= 2 * (2000 - 300)


def test_lower_can_be_better():
    quick, slow = (Sums(400, 400, mean, 0.3) for mean in (1.0, 1.5))
    assert compare(plan("error_mean", False), slow, quick).verdict is Verdict.BETTER
    assert compare(plan("error_mean", False), quick, slow).verdict is Verdict.WORSE


def test_a_difference_that_matters_to_nobody_is_said_to_be_none():
    found = compare(plan(margin=0.05), share(9000, 0.5), share(9000, 0.52))
    assert found.verdict is Verdict.NO_DIFFERENCE


def test_how_much_longer_it_takes_is_about_right():
    found = compare(plan(), share(800, 0.30), share(800, 0.35))
    assert found.verdict is Verdict.NOT_YET
    more = (1600 + found.more) // 2
    assert compare(plan(), share(int(more * 1.02), 0.30), share(int(more * 1.02), 0.35)).verdict is Verdict.BETTER
    assert compare(plan(), share(int(more * 0.9), 0.30), share(int(more * 0.9), 0.35)).verdict is Verdict.NOT_YET


def test_nothing_is_said_of_nothing():
    assert compare(plan(), Sums(0), Sums(1, 1, 1.0)) == Finding(Verdict.NOT_YET)
    assert compare(plan(), share(49, 0.1), share(49, 0.9)).verdict is Verdict.NOT_YET


def test_keys_that_were_divided_by_the_weights_raise_no_alarm_and_others_do():
    assert divisions(0.5, 400) <= 0.001 * 5
    assert divisions(0.55, 60) > 0.95
    assert ratio_p_value([500, 500], [1, 1]) == 1
    assert ratio_p_value([600, 200], [3, 1]) > 0.5
    assert ratio_p_value([0, 200], [3, 1]) < 1e-9


def test_one_that_is_better_ends_it_and_all_must_be_known_for_any_other_end():
    def found(*verdicts, p=None):
        made = [Finding(verdict, effects.proportions((10, 100), (10 + n, 100))) for n, verdict in enumerate(verdicts)]
        return judging.together(made, p, True)

    better, worse, none, not_yet = Verdict.BETTER, Verdict.WORSE, Verdict.NO_DIFFERENCE, Verdict.NOT_YET
    assert found(not_yet, better, better) == (better, 2, True)
    assert found(worse, not_yet) == (not_yet, None, False)
    assert found(worse, worse) == (worse, None, True)
    assert found(worse, none) == (none, None, True)
    assert found(better, p=0.0001) == (Verdict.UNTRUSTED, None, False)

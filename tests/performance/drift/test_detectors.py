"""A mean that changes is found soon, one that stays is left alone, and nothing depends on when a process ended."""

from __future__ import annotations

import numpy as np
import pytest

from performance.drift.detectors import KEEP, Watcher

REPETITIONS = 20


def changes(values, again=0):
    """(number at which it was seen, change); the watcher is made anew after every `again` numbers."""
    watcher, found = Watcher(), []
    for number, value in enumerate(values, 1):
        if again and number % again == 0:
            watcher = Watcher(watcher.values)
        if (change := watcher.take(float(value))) is not None:
            found.append((number, change))
    return found


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_ten_thousand_outcomes_that_stay_as_they_are_raise_no_alarm(rate):
    rows = (np.random.default_rng([1, seed]).random(10_000) < rate for seed in range(REPETITIONS))
    alarms = sum(any(change.matters for _, change in changes(row)) for row in rows)
    print(f"{alarms} of {REPETITIONS} rows of 10,000 outcomes, {rate:.0%} of them wrong, raised an alarm")
    assert alarms == 0


def test_numbers_without_bounds_that_stay_as_they_are_raise_no_alarm():
    rows = (np.random.default_rng([2, seed]).lognormal(0, 1.5, 5000) for seed in range(10))
    assert not any(change.matters for row in rows for _, change in changes(row))


@pytest.mark.parametrize(("before", "after", "within"), [(0.1, 0.2, 1000), (0.3, 0.5, 600), (0.1, 0.5, 150)])
def test_more_errors_are_found_within_a_stated_number_of_outcomes(before, after, within):
    delays = []
    for seed in range(REPETITIONS):
        dice = np.random.default_rng([3, seed])
        row = [*(dice.random(3000) < before), *(dice.random(3000) < after)]
        number, change = next((number, change) for number, change in changes(row) if change.matters)
        assert change.rose and abs(change.place - 3000) < 500
        delays.append(number - 3000)
    print(f"{before:.0%} → {after:.0%} wrong: found after {np.median(delays):.0f} outcomes, at most {max(delays)}")
    assert 0 < max(delays) <= within


def test_it_depends_on_the_numbers_alone():
    dice = np.random.default_rng(4)
    row = [*dice.beta(8, 2, KEEP + 3000), *dice.beta(6, 3, 2000), *dice.beta(8, 2, 3000)]
    at_once = changes(row)
    assert len(at_once) >= 2
    assert changes(row, again=1500) == at_once


def test_the_mean_of_a_new_concept_is_found():
    """River's SEA concepts: a model that learned the first one meets the fourth."""
    from river.datasets.synth import SEA
    from river.naive_bayes import GaussianNB

    model = GaussianNB()
    for x, y in SEA(variant=0, seed=5).take(2000):
        model.learn_one(x, y)
    wrong = [
        model.predict_one(x) != y
        for variant, count in ((0, 3000), (3, 3000))
        for x, y in SEA(variant=variant, noise=0.05, seed=7 + variant).take(count)
    ]
    found = [(number, change) for number, change in changes(wrong) if change.matters]
    number, change = found[0]
    print(f"SEA: found {number - 3000} outcomes after the change, which it put {change.place - 3000:+d} from its place")
    assert len(found) == 1 and 3000 < number < 4500 and abs(change.place - 3000) < 300

"""Columns that have moved are found, and those that have not stay quiet."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp
from statsmodels.stats.multitest import multipletests

from performance.drift.columns import ALPHA, Kind, compare

COLUMNS = 10


def _rows(random: np.random.Generator, count: int, **shifts: float) -> dict[str, list]:
    """Numbers of several shapes, and categories."""
    columns: dict[str, list] = {
        f"n{number}": list(random.normal(size=count) if number % 2 else random.lognormal(size=count))
        for number in range(COLUMNS)
    }
    for name, shift in shifts.items():
        columns[name] = [value + shift for value in columns[name]]
    return columns | {"colour": list(random.choice(["red", "green", "blue"], count, p=[0.5, 0.3, 0.2]))}


KINDS = {f"n{number}": Kind.NUMBER for number in range(COLUMNS)} | {"colour": Kind.CATEGORY}


@pytest.mark.parametrize("count", [40, 400])
def test_data_as_before_is_quiet(count):
    random = np.random.default_rng(5)
    false = sum(any(one.moved() for one in compare(_rows(random, 500), _rows(random, count), KINDS)) for _ in range(60))
    print(f"{false} of 60 comparisons of {COLUMNS + 1} columns with {count} rows said that something had moved")
    assert false <= 3  # of 60 at 1 %: more come once in 5,000 times


def test_the_column_that_moved_is_named_with_its_evidence():
    random = np.random.default_rng(6)
    before, now = _rows(random, 500), _rows(random, 200, n3=0.8)
    first, *others = compare(before, now, KINDS)
    assert first.column == "n3" and first.moved() and not any(one.moved() for one in others)
    expected = ks_2samp(before["n3"], now["n3"], method="asymp")
    assert (first.statistic, first.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert first.distance == pytest.approx(0.8, abs=0.2) and first.psi > 0.2
    assert (first.reference_count, first.recent_count) == (500, 200)
    holm = multipletests([one.p_value for one in (first, *others)], method="holm")[1]
    assert [one.corrected for one in (first, *others)] == pytest.approx(holm)


def test_a_difference_that_is_certain_but_tiny_does_not_matter():
    random = np.random.default_rng(7)
    (found,) = compare({"x": random.normal(size=50_000)}, {"x": random.normal(0.05, 1, 50_000)}, {"x": Kind.NUMBER})
    assert found.corrected < ALPHA and not found.moved()


def test_a_large_difference_of_a_few_is_not_certain():
    random = np.random.default_rng(8)
    (found,) = compare({"x": random.normal(size=500)}, {"x": random.normal(0.25, 1, 30)}, {"x": Kind.NUMBER})
    assert found.distance >= found.threshold and not found.moved()


def test_too_few_values_say_nothing():
    assert compare({"x": [1.0] * 500}, {"x": [9.0] * 29}, {"x": Kind.NUMBER}) == []


def test_categories_that_come_and_go_are_seen():
    random = np.random.default_rng(9)
    before = list(random.choice(["a", "b", "c"], 400))
    now = list(random.choice(["a", "b", "new"], 200))
    (found,) = compare({"x": before}, {"x": now}, {"x": Kind.CATEGORY})
    assert found.moved() and found.test == "chi-square"
    (same,) = compare({"x": ["only"] * 100}, {"x": ["only"] * 100}, {"x": Kind.CATEGORY})
    assert not same.moved() and same.p_value == 1


def test_many_rare_categories_count_together():
    random = np.random.default_rng(10)
    before, now = ([f"id {number}" for number in random.integers(0, 10**9, count)] for count in (400, 200))
    (found,) = compare({"x": before}, {"x": now}, {"x": Kind.CATEGORY})
    assert not found.moved()


def test_values_that_go_missing_are_a_finding_of_their_own():
    random = np.random.default_rng(11)
    now = [None if random.random() < 0.3 else value for value in random.normal(size=300)]
    found = compare({"x": list(random.normal(size=300))}, {"x": now}, {"x": Kind.NUMBER})
    assert [one.kind for one in found if one.moved()] == [Kind.MISSING]


def test_vectors_that_lie_elsewhere_are_seen_and_others_are_not():
    random = np.random.default_rng(12)
    before, same, moved = (random.normal(mean, 1, (300, 16)) for mean in (0, 0, 0.4))
    assert not compare({"x": before}, {"x": same}, {"x": Kind.VECTOR})[0].moved()
    assert compare({"x": before}, {"x": moved}, {"x": Kind.VECTOR})[0].moved()

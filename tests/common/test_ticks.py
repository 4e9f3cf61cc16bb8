"""Ticks lie at round values, and no two read the same."""

import pytest

from common import ticks


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.09, 0.91, "0.0 0.2 0.4 0.6 0.8 1.0"), (0, 5000, "0 1,000 2,000 3,000 4,000 5,000"),
        (1000.21, 1000.79, "1,000.2 1,000.4 1,000.6 1,000.8"), (-0.3, 0.2, "-0.3 -0.2 -0.1 0.0 0.1 0.2"),
        (2e-7, 9e-7, "2e-07 4e-07 6e-07 8e-07 1.0e-06"), (3.0, 3.0, "1 2 3 4 5"),
        (0.0, 0.0, "-0.6 -0.4 -0.2 0.0 0.2 0.4 0.6"),
    ],
)  # fmt: skip
def test_ticks_around_values_are_round(low, high, told):
    assert ticks.labels(*ticks.around(low, high)) == told.split()


@pytest.mark.parametrize(
    ("low", "high", "whole", "told"),
    [
        (1, 4, True, ["1", "2", "3", "4"]), (0.05, 0.95, False, ["0.2", "0.4", "0.6", "0.8"]),
        (1, 5000, True, ["1,000", "2,000", "3,000", "4,000", "5,000"]), (0, 2, True, ["0", "1", "2"]),
    ],
)  # fmt: skip
def test_ticks_within_a_range_are_round(low, high, whole, told):
    assert ticks.labels(*ticks.within(low, high, whole=whole)) == told


def test_a_logarithmic_axis_has_powers_of_ten():
    assert ticks.decades(1e-5, 1e-2) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2])
    assert ticks.decades(0.03, 0.4) == pytest.approx([0.05, 0.1, 0.2])
    assert len(ticks.decades(1e-30, 1e30)) <= 6


@pytest.mark.parametrize(("low", "high"), [(-1e300, 1e300), (1e-300, 2e-300), (1e15, 1e15 + 2), (0.1, 0.1 + 1e-12)])
def test_labels_differ_whatever_the_range(low, high):
    told = ticks.labels(*ticks.around(low, high))
    assert len(set(told)) == len(told) >= 2

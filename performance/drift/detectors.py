"""A row of numbers that comes one by one: whether its mean has changed, and where.

Two detectors of river look at each number: ADWIN (Bifet and Gavaldà, 2007), which compares all ways of cutting its
window in two, and Page and Hinkley's test, which adds up what lies above the mean. Neither can be written down, so what
is kept is the numbers since the last change, from which both are made anew: what they say depends on the row of numbers
alone, and not on when a process was ended.
"""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

# Measured over rows of 10,000 numbers that stay as they are: see docs/drift.md and `python -m bench drift`.
DELTA = 0.002  # of ADWIN
SLACK = 0.1  # of Page and Hinkley's test, in standard deviations
LIMIT = 100.0
BASE = 200  # numbers from which the spread is taken; before, nothing is said
KEEP = 10_000  # numbers that are kept; then the older half is forgotten
MATTERS = 0.1  # standard deviations: less is a change that nobody needs to be told of
LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class Change:
    """`place` counts from the first number that is kept: there the new mean begins."""

    detector: str
    place: int
    before: float
    after: float
    before_count: int
    after_count: int
    spread: float  # standard deviation before
    of_shares: bool  # every number is 0 or 1

    @property
    def matters(self) -> bool:
        return abs(self.after - self.before) >= MATTERS * (self.spread or LEAST_SPREAD)

    @property
    def rose(self) -> bool:
        return self.after > self.before


class Watcher:
    """Both detectors, as they stand after the numbers since the last change."""

    def __init__(self, values: Sequence[float] = ()) -> None:
        self._begin(values)

    def take(self, value: float) -> Change | None:
        """The next number; the change that it reveals. Then the numbers from there on are the new row."""
        alarm = self._feed(value)
        if alarm is None:
            if len(self.values) >= KEEP:
                self._begin(self.values[KEEP // 2 :])
            return None
        change = _change(alarm, self.values)
        self._begin(self.values[change.place :])
        return change

    def _begin(self, values: Sequence[float]) -> None:
        self.values = array("d")
        self._detectors: dict[str, Any] | None = None
        for value in values:
            self._feed(value)

    def _feed(self, value: float) -> str | None:
        """The name of the detector that is sure now."""
        self.values.append(value)
        if self._detectors is not None:
            return self._look(value)
        if len(self.values) == BASE:
            self._fit()
            for early in self.values:
                self._look(early)
        return None

    def _fit(self) -> None:
        from river.drift import ADWIN, PageHinkley

        self._scaled = _scale(self.values)
        base = [self._scaled(value) for value in self.values]
        self._mean, self._spread = statistics.fmean(base), max(LEAST_SPREAD, statistics.pstdev(base))
        hinkley = PageHinkley(min_instances=BASE, delta=SLACK, threshold=LIMIT, alpha=1.0)
        self._detectors = {"ADWIN": ADWIN(delta=DELTA), "Page–Hinkley": hinkley}

    def _look(self, value: float) -> str | None:
        scaled = self._scaled(value)
        sure = None
        for name, detector in (self._detectors or {}).items():
            detector.update(scaled if name == "ADWIN" else (scaled - self._mean) / self._spread)
            if detector.drift_detected:
                sure = sure or name
        return sure


def _scale(values: Sequence[float]) -> Any:
    """A map to 0 … 1, within which ADWIN's bounds hold: shares and probabilities as they are, others by how far they
    lie from the middle."""
    if min(values) >= 0 and max(values) <= 1:
        return _bounded
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values) or statistics.pstdev(values) or 1.0
    return partial(_squeezed, middle=middle, spread=spread)


def _bounded(value: float) -> float:
    return min(1.0, max(0.0, value))


def _squeezed(value: float, middle: float, spread: float) -> float:
    return 0.5 + math.atan((value - middle) / (2 * spread)) / math.pi


def _change(detector: str, values: Sequence[float]) -> Change:
    """The change, at the place that divides the numbers best: where what was added up strays most from its mean."""
    count, mean = len(values), statistics.fmean(values)
    strays = list(accumulate(value - mean for value in values))[:-1]
    place = 1 + max(range(count - 1), key=lambda at: abs(strays[at]) / math.sqrt((at + 1) * (count - at - 1)))
    before, after = values[:place], values[place:]
    return Change(
        detector, place, statistics.fmean(before), statistics.fmean(after), len(before), len(after),
        statistics.pstdev(before), set(values) <= {0.0, 1.0},
    )  # fmt: skip

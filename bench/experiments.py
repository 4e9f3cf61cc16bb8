"""Whether verdicts of experiments are right: simulated outcomes, looked at again and again, judged by the functions
that judge real ones. Beside them a test for a sample of fixed size, read at each look, as one would do without.

python -m bench experiments
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from performance.experiments.judging import Finding, Plan, Sums, Verdict, compare, division

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
EXPECTED = 4000  # outcomes of both sides together
MINIMUM = 100
FOUND = (Verdict.BETTER, Verdict.WORSE)
Course = Callable[["np.random.Generator", float, "np.ndarray"], Iterator[tuple[Sums, Sums]]]


@dataclass(frozen=True)
class Case:
    """A kind of outcomes; `course` gives what is counted at each place, for a true difference `lift`."""

    title: str
    metric: str
    course: Course
    lifts: tuple[float, ...]
    paired: bool = False

    def plan(self, margin: float = 0.0, alpha: float = ALPHA) -> Plan:
        return Plan(self.metric, True, EXPECTED, MINIMUM, alpha, margin, self.paired)


@dataclass(frozen=True)
class Outcome:
    """What many experiments of one kind came to: shares of them, and the mean number of outcomes at their end."""

    found: float
    harm: float
    naive: float
    size: float


def rates(case: Case, lift: float, trials: int, looks: int, seed: int = 7, margin: float = 0.0) -> Outcome:
    """Run so many experiments with a true difference of `lift`."""
    import numpy as np

    places = np.unique(np.geomspace(MINIMUM, EXPECTED, looks).astype(int))
    plan = case.plan(margin)
    found = harm = naive = size = 0.0
    for trial in range(trials):
        ended, by_test = _one(plan, case.course(np.random.default_rng([seed, trial]), lift, places))
        found += ended is not None and ended.verdict in FOUND
        harm += ended is not None and ended.verdict is Verdict.WORSE
        naive += by_test
        size += ended.effect.count if ended and ended.effect else EXPECTED
    return Outcome(found / trials, harm / trials, naive / trials, size / trials)


def _one(plan: Plan, looks: Iterator[tuple[Sums, Sums]]) -> tuple[Finding | None, bool]:
    """(the finding that ended it, None when none did; whether a naive test said yes at any look)."""
    ended, by_test = None, False
    for theirs, ours in looks:
        now = compare(plan, theirs, ours)
        by_test = by_test or bool(now.effect and now.effect.p_value < ALPHA)
        if ended is None and now.verdict is not Verdict.NOT_YET:
            ended = now
    return ended, by_test


def shares(random: np.random.Generator, lift: float, places: np.ndarray) -> Iterator[tuple[Sums, Sums]]:
    """Each key answers once: right or wrong."""
    import numpy as np

    hits = (random.random((2, EXPECTED // 2)) < np.array([[0.2], [0.2 + lift]])).cumsum(axis=1)
    for place in places // 2:
        yield tuple(_binary(int(side[place - 1]), int(place)) for side in hits)  # type: ignore[misc]


def customers(random: np.random.Generator, lift: float, places: np.ndarray) -> Iterator[tuple[Sums, Sums]]:
    """Keys come back, and each has a share of its own: outcomes of one key are alike. Some keys come often."""
    import numpy as np

    side = EXPECTED // 2
    keys = np.minimum(random.pareto(1.2, (2, side)) * 40, 4 * side).astype(int)
    own = np.clip(random.beta(0.8, 1.2, (2, 4 * side + 1)) + np.array([[0.0], [lift]]), 0, 1)
    right = random.random((2, side)) < np.take_along_axis(own, keys, axis=1)
    for place in places // 2:
        yield tuple(_by_key(keys[row, :place], right[row, :place]) for row in (0, 1))  # type: ignore[misc]


def amounts(random: np.random.Generator, lift: float, places: np.ndarray) -> Iterator[tuple[Sums, Sums]]:
    """Amounts with a long tail."""
    values = random.exponential(1, (2, EXPECTED // 2))
    values[1] += lift
    for place in places // 2:
        yield tuple(
            Sums(int(place), int(place), float(side[:place].mean()), float(side[:place].var(ddof=1))) for side in values
        )  # type: ignore[misc]


def orders(random: np.random.Generator, lift: float, places: np.ndarray) -> Iterator[tuple[Sums, Sums]]:
    """Times with a very long tail, of which the order counts."""
    values = random.lognormal([[0.0], [lift]], 2, (2, EXPECTED // 2))
    for place in places // 2:
        yield tuple(_steps(side[:place]) for side in values)  # type: ignore[misc]


def shadows(random: np.random.Generator, lift: float, places: np.ndarray) -> Iterator[tuple[Sums, Sums]]:
    """Two that answer the same inputs, and are right and wrong on much the same ones."""
    import numpy as np

    hard = random.random(EXPECTED // 2)
    right = [(hard + 0.1 * random.normal(size=hard.size) < level).astype(int) for level in (0.8, 0.8 + lift)]
    apart = np.array([right[1] > right[0], right[1] < right[0]]).cumsum(axis=1)
    for place in places // 2:
        above, below = (int(side[place - 1]) for side in apart)
        mean = (above - below) / place
        variance = ((above + below) - place * mean**2) / (place - 1)
        yield Sums(0), Sums(int(place), int(place), mean, variance, above=above, below=below)


CASES = (
    Case("right or wrong", "correct", shares, (0.03, 0.05)),
    Case("keys that come back", "correct", customers, (0.05, 0.1)),
    Case("amounts", "feedback_mean", amounts, (0.08, 0.12)),
    Case("times, by order", "feedback_rank", orders, (0.2, 0.3)),
    Case("shadow, right or wrong", "correct", shadows, (0.02, 0.03), paired=True),
)


def divisions(share: float, trials: int, keys: int = 5000, looks: int = 20) -> float:
    """The share of experiments of equal weights whose division is called wrong at any look, when `share` of the keys
    comes to the variant."""
    import numpy as np

    places = np.linspace(keys / looks, keys, looks).astype(int)
    wrong = 0
    for trial in range(trials):
        ours = (np.random.default_rng([3, trial]).random(keys) < share).cumsum()
        wrong += any((division([int(n - ours[n - 1]), int(ours[n - 1])], [1, 1]) or 1) < 0.001 for n in places)
    return wrong / trials


def _binary(hits: int, count: int) -> Sums:
    mean = hits / count
    return Sums(count, count, mean, mean * (1 - mean) * count / (count - 1))


def _by_key(keys: np.ndarray, right: np.ndarray) -> Sums:
    import numpy as np

    _, place, often = np.unique(keys, return_inverse=True, return_counts=True)
    values = np.bincount(place, right) / often
    return Sums(len(values), len(keys), float(values.mean()), float(values.var(ddof=1)))


def _steps(values: np.ndarray) -> Sums:
    import numpy as np

    steps, counts = np.unique(np.floor(np.log(values) * 100).astype(int) + 3000, return_counts=True)
    return Sums(len(values), len(values), bins=dict(zip(steps.tolist(), counts.tolist(), strict=True)))


def main(trials: int = 1000, looks: int = 20) -> None:
    print(f"\n## Verdicts of experiments: {trials} of each kind, {looks} looks, alpha {ALPHA}, {EXPECTED} outcomes")
    print(f"{'outcomes':24} {'difference':>10} {'found':>7} {'naive':>7} {'outcomes at the end':>20}")
    for case in CASES:
        for lift in (0.0, *case.lifts):
            began = time.monotonic()
            made = rates(case, lift, trials, looks)
            print(
                f"{case.title:24} {lift:10.2f} {made.found:7.1%} {made.naive:7.1%} {made.size:20,.0f}"
                f"   ({time.monotonic() - began:.0f} s)",
                flush=True,
            )
    for share in (0.5, 0.55):
        print(f"keys divided {1 - share:.0%} : {share:.0%}, called wrong: {divisions(share, trials):.1%}")

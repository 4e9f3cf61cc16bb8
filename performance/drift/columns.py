"""Whether a column of recent data is as it was in the reference: the test that suits its type, and how far it moved.

A test alone says too much of large samples, in which the least difference is certain, and a distance alone too much of
small ones. So a column has moved when the test, corrected for all columns that are looked at, is sure of it and the
distance is one that matters. Tests are those of scipy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.01  # of all columns together (Holm)
LEAST = 30  # values on each side before anything is said
BINS = 10  # of the population stability index: the reference's deciles
RARE = 5  # categories of which fewer are expected count together, as the chi-square test asks
SAMPLE = 500  # vectors on each side whose distances are measured
PERMUTATIONS = 499


class Kind(StrEnum):
    NUMBER = "number"
    CATEGORY = "category"
    VECTOR = "vector"
    MISSING = "missing"
    SHARE = "share"  # of rows of which something is true, such as wrong answers


# From where a distance matters: a PSI of 0.1 is usually called a small change, a mean that moves by a fifth of the
# spread a small effect (Cohen); the others follow them.
MATTERS = {Kind.NUMBER: 0.2, Kind.CATEGORY: 0.1, Kind.VECTOR: 0.05, Kind.MISSING: 0.05, Kind.SHARE: 0.05}
DISTANCES = {
    Kind.NUMBER: "Wasserstein distance in standard deviations", Kind.CATEGORY: "population stability index",
    Kind.VECTOR: "squared maximum mean discrepancy", Kind.MISSING: "difference of the shares",
    Kind.SHARE: "difference of the shares",
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What one test of one column says; `corrected` is the p-value once all others are taken into account."""

    column: str
    kind: Kind
    test: str
    statistic: float
    p_value: float
    distance: float
    psi: float | None
    reference_count: int
    recent_count: int
    corrected: float = 1.0

    @property
    def threshold(self) -> float:
        """From which distance on it matters."""
        return MATTERS[self.kind]

    def moved(self, alpha: float = ALPHA) -> bool:
        return self.corrected < alpha and self.distance >= self.threshold


def compare(
    reference: Mapping[str, Sequence[Any]], recent: Mapping[str, Sequence[Any]], kinds: Mapping[str, Kind]
) -> list[Found]:
    """All columns that both have and that have enough values, the one that moved most first.

    Columns hold numbers, categories (anything with a text), vectors of one length, or for a share what is true and what
    is not; None, and NaN of numbers, is a missing value, whose share is a test of its own.
    """
    found: list[Found] = []
    for name, kind in kinds.items():
        if name in reference and name in recent:
            found += _column(name, kind, reference[name], recent[name])
    return sorted(_corrected(found), key=lambda one: (-one.distance / one.threshold, one.p_value))


def _column(name: str, kind: Kind, reference: Sequence[Any], recent: Sequence[Any]) -> list[Found]:
    there = [value for value in reference if not _missing(value)]
    now = [value for value in recent if not _missing(value)]
    found = []
    if min(len(reference), len(recent)) >= LEAST and len(there) + len(now) < len(reference) + len(recent):
        found.append(_missing_shares(name, (len(there), len(reference)), (len(now), len(recent))))
    if min(len(there), len(now)) >= LEAST:
        found.append(TESTS[kind](name, there, now))
    return found


def numbers(name: str, reference: Sequence[float], recent: Sequence[float]) -> Found:
    """Kolmogorov and Smirnov's test; how far the values would have to be carried, in the reference's spread."""
    import numpy as np
    from scipy.stats import ks_2samp, wasserstein_distance

    before, now = np.asarray(reference, float), np.asarray(recent, float)
    test = ks_2samp(before, now, method="asymp")
    spread = float(before.std()) or float(now.std()) or 1.0
    distance = float(wasserstein_distance(before, now)) / spread
    edges = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1) for values in (before, now)]
    return Found(
        name, Kind.NUMBER, "Kolmogorov–Smirnov", float(test.statistic), float(test.pvalue), distance, _psi(*shares),
        len(before), len(now),
    )  # fmt: skip


def categories(name: str, reference: Sequence[Any], recent: Sequence[Any]) -> Found:
    """The chi-square test, rare categories together."""
    import numpy as np
    from scipy.stats import chi2_contingency

    known = sorted({str(value) for value in [*reference, *recent]})
    place = {value: number for number, value in enumerate(known)}
    table = np.array([np.bincount([place[str(v)] for v in side], minlength=len(known)) for side in (reference, recent)])
    expected = table.sum(axis=0) * table.sum(axis=1).min() / table.sum()
    rare = expected < RARE
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    psi = _psi(table[0], table[1])
    statistic, p = (0.0, 1.0) if table.shape[1] < 2 else chi2_contingency(table, correction=False)[:2]
    return Found(
        name, Kind.CATEGORY, "chi-square", float(statistic), float(p), psi, psi, len(reference), len(recent)
    )  # fmt: skip


def vectors(name: str, reference: Sequence[Sequence[float]], recent: Sequence[Sequence[float]]) -> Found:
    """The kernel two-sample test of Gretton and others (2012), with permutations, on a sample of each side."""
    import numpy as np
    from scipy.spatial.distance import pdist, squareform

    dice = np.random.default_rng(0)
    sides = [np.asarray(side, float) for side in (reference, recent)]
    before, now = (side[dice.permutation(len(side))[:SAMPLE]] for side in sides)
    squares = squareform(pdist(np.concatenate([before, now]), "sqeuclidean"))
    kernel = np.exp(-squares / (float(np.median(squares[squares > 0])) if (squares > 0).any() else 1.0))
    value = _mmd(kernel, np.arange(len(kernel)), len(before))
    others = [_mmd(kernel, dice.permutation(len(kernel)), len(before)) for _ in range(PERMUTATIONS)]
    p = _beyond(value, others)
    return Found(
        name, Kind.VECTOR, "maximum mean discrepancy", value, p, max(0.0, value), None, len(reference), len(recent)
    )  # fmt: skip


def shares(name: str, reference: Sequence[Any], recent: Sequence[Any]) -> Found:
    """Fisher's exact test of how much of it is true; the statistic is the recent share."""
    before, now = (sum(map(bool, side)) for side in (reference, recent))
    return _two_shares(name, Kind.SHARE, (before, len(reference)), (now, len(recent)))


def _missing_shares(name: str, there: tuple[int, int], here: tuple[int, int]) -> Found:
    """Of the counts (values, rows) of both sides."""
    return _two_shares(name, Kind.MISSING, (there[1] - there[0], there[1]), (here[1] - here[0], here[1]))


def _two_shares(name: str, kind: Kind, reference: tuple[int, int], recent: tuple[int, int]) -> Found:
    from scipy.stats import fisher_exact

    (there, before), (here, now) = reference, recent
    p = float(fisher_exact([[there, before - there], [here, now - here]]).pvalue)
    distance = abs(here / now - there / before)
    return Found(name, kind, "Fisher's exact test", here / now, p, distance, None, before, now)


TESTS = {Kind.NUMBER: numbers, Kind.CATEGORY: categories, Kind.VECTOR: vectors, Kind.SHARE: shares}


def _beyond(value: float, others: Sequence[float]) -> float:
    """How likely a permutation is to reach the value. Where too few do to be counted, the tail of a Pearson III
    distribution with the moments of all of them stands in, since a level of many looks lies below one in 500."""
    import numpy as np
    from scipy.stats import pearson3, skew

    counted = (1 + sum(other >= value for other in others)) / (1 + len(others))
    spread = float(np.std(others))
    if counted > 10 / len(others) or not spread:
        return counted
    return float(pearson3.sf((value - float(np.mean(others))) / spread, float(skew(others))))


def _mmd(kernel: np.ndarray, order: np.ndarray, count: int) -> float:
    """The unbiased square of the discrepancy between the first `count` rows of `order` and the others."""
    a, b = order[:count], order[count:]
    within = [(kernel[rows][:, rows].sum() - len(rows)) / (len(rows) * (len(rows) - 1)) for rows in (a, b)]
    return float(sum(within) - 2 * kernel[a][:, b].mean())


def _psi(reference: np.ndarray, recent: np.ndarray) -> float:
    """The population stability index of two rows of counts, half a count added to each so that none is 0."""
    import numpy as np

    before, now = ((row + 0.5) / (row + 0.5).sum() for row in (np.asarray(reference), np.asarray(recent)))
    return float(((now - before) * np.log(now / before)).sum())


def _corrected(found: list[Found]) -> list[Found]:
    """With the p-values of Holm (1979). statsmodels has them too, but collects garbage at each call, which costs a
    process with much in memory a second."""
    most, corrected = 0.0, dict.fromkeys(range(len(found)), 1.0)
    for rank, number in enumerate(sorted(corrected, key=lambda number: found[number].p_value)):
        most = max(most, min(1.0, found[number].p_value * (len(found) - rank)))
        corrected[number] = most
    return [replace(one, corrected=corrected[number]) for number, one in enumerate(found)]


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)

"""What of a column is drawn: the shares of its values in both sides, side by side."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from performance.drift.columns import Kind

BINS = 16
CATEGORIES = 12
OTHERS = "all others"
MISSING = "missing"


def without_picture(finding: dict[str, Any]) -> dict[str, Any]:
    """What a test found in figures alone. A picture shows values of inputs, which fewer people may see."""
    return {name: value for name, value in finding.items() if name != "picture"}


def of_column(kind: Kind, reference: Sequence[Any], recent: Sequence[Any]) -> dict[str, Any]:
    """{"labels", "reference", "recent"}: shares of each side, 0 to 1; empty for what can't be drawn.

    Of numbers, "edges" too: one more than there are labels.
    """
    if kind == Kind.VECTOR:
        return {}
    if kind == Kind.NUMBER:
        return _histogram(*([value for value in side if value is not None] for side in (reference, recent)))
    if kind == Kind.MISSING:
        sides = [[MISSING if value is None else "there" for value in side] for side in (reference, recent)]
    elif kind == Kind.SHARE:
        sides = [["yes" if value else "no" for value in side] for side in (reference, recent)]
    else:
        sides = [[value for value in side if value is not None] for side in (reference, recent)]
    return _shares(*map(Counter, sides))


def _histogram(reference: Sequence[float], recent: Sequence[float]) -> dict[str, Any]:
    """Bins of one width between the outermost hundredths of both; what lies beyond counts to the outer ones."""
    import numpy as np

    both = np.concatenate([np.asarray(reference, float), np.asarray(recent, float)])
    low, high = (float(np.quantile(both, share)) for share in (0.01, 0.99))
    if low == high:
        low, high = float(both.min()), float(both.max())
    known = np.unique(both)
    if len(known) == 1:
        return {"labels": [_short(known[0])], "reference": [1.0], "recent": [1.0]}
    edges = np.linspace(low, high, BINS + 1)
    counted = [np.histogram(np.clip(side, low, high), edges)[0] / len(side) for side in (reference, recent)]
    names = [f"{_short(a)} – {_short(b)}" for a, b in itertools.pairwise(edges)]
    drawn = {"labels": names, "edges": [_rounded(edge) for edge in edges]}
    return drawn | {
        side: [_rounded(v) for v in row] for side, row in zip(("reference", "recent"), counted, strict=True)
    }


def _shares(reference: Counter[str], recent: Counter[str]) -> dict[str, Any]:
    """The most frequent categories of both sides together, and all others as one."""
    totals = reference.total() or 1, recent.total() or 1
    weight = {name: reference[name] / totals[0] + recent[name] / totals[1] for name in {*reference, *recent}}
    names = sorted(weight, key=lambda name: (-weight[name], name))[:CATEGORIES]
    drawn: dict[str, Any] = {"labels": names}
    for side, counts, total in (("reference", reference, totals[0]), ("recent", recent, totals[1])):
        drawn[side] = [_rounded(counts[name] / total) for name in names]
        if len(weight) > len(names):
            drawn[side].append(_rounded(1 - sum(drawn[side])))
    if len(weight) > len(names):
        drawn["labels"] = [*names, OTHERS]
    return drawn


def _short(value: float) -> str:
    return f"{value:.4g}"


def _rounded(value: float) -> float:
    return float(f"{float(value):.6g}")

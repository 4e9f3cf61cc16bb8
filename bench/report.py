"""How figures are printed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles


def line(what: str, figure: str, aim: str = "") -> None:
    print(f"{what:<58} {figure:>22}   {f'(aim: {aim})' if aim else ''}".rstrip(), flush=True)


def spread(values: Sequence[float], unit: str = "ms", scale: float = 1000) -> str:
    """Median and 95th percentile of seconds."""
    shown = [value * scale for value in values]
    high = quantiles(shown, n=20)[-1] if len(shown) > 1 else shown[0]
    return f"p50 {median(shown):.0f} {unit}, p95 {high:.0f} {unit}"

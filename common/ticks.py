"""Where the ticks of an axis lie, in steps of 1, 2 or 5 times a power of ten, and what stands beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

STEPS = (1, 2, 5, 10)
NEAR = 0.12  # of the axis: a tick that is nearer to its end than this would touch what stands there


def step(low: float, high: float, most: int = 5, whole: bool = False) -> float:
    """The least round step that divides the range into at most so many parts."""
    rough = (high - low) / max(1, most)
    if not rough > 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    found = next(round_ * power for round_ in STEPS if round_ * power >= rough * 0.999)
    return max(1.0, found) if whole else found


def around(low: float, high: float, most: int = 5, whole: bool = False) -> tuple[list[float], float]:
    """Ticks from at or below `low` to at or above `high`, and their step."""
    if math.isclose(low, high, rel_tol=1e-9):  # what differs by rounding alone would have no room
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    size = step(low, high, most, whole)
    first, last = math.floor(low / size + 1e-9), math.ceil(high / size - 1e-9)
    return [size * number for number in range(first, last + 1)], size


def within(low: float, high: float, most: int = 5, whole: bool = False) -> tuple[list[float], float]:
    """Ticks from at or above `low` to at or below `high`, and their step."""
    size = step(low, high, most, whole)
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return [size * number for number in range(first, last + 1)], size


def decades(low: float, high: float, most: int = 5) -> list[float]:
    """Ticks of a logarithmic axis inside of its ends: powers of ten, evenly thinned; of less than one also 2 and 5."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 1:
        return [10.0**power for power in range(first, last + 1, math.ceil((last - first + 1) / most))]
    found = [step * 10.0**power for power in range(first - 1, last + 1) for step in STEPS[:3]]
    return [value for value in found if low <= value * (1 + 1e-9) and value * (1 - 1e-9) <= high]


def label(value: float, size: float) -> str:
    """A tick in as many decimals as its step has, so that no two read the same: 0.2 · 1,500 · 2e-07."""
    decimals = max(0, -math.floor(math.log10(size) + 1e-9)) if size > 0 else 0
    if value and (decimals > 5 or abs(value) >= 1e7):
        digits = max(0, math.floor(math.log10(abs(value)) + 1e-9) - math.floor(math.log10(size) + 1e-9))
        mantissa, _, power = f"{value:.{min(digits, 16)}e}".partition("e")
        return f"{mantissa}e{power}"
    return f"{value:,.{decimals}f}".replace("-0", "0") if not round(value, decimals) else f"{value:,.{decimals}f}"


def labels(ticks: Sequence[float], size: float) -> list[str]:
    return [label(value, size) for value in ticks]

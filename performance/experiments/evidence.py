"""What may be said of an effect while outcomes still come in, however often one looks.

A test for a sample of fixed size errs far more often than its 5 % when it is read again and again until it says yes.
The interval here holds at all looks together with the probability that is asked for: it is the asymptotic confidence
sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Time-uniform central limit theory, 2024), a normal mixture
in the manner of Robbins, for any estimate that becomes normal. It is wider than that of a fixed sample; that is the
price of looking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from performance.experiments.effects import Effect

ALPHA = 0.05
LEAST = 50  # outcomes of each variant before anything is said: estimates must have become normal


@dataclass(frozen=True)
class Evidence:
    """The interval of an effect that holds at every look, and the p-value that goes with it."""

    low: float
    high: float
    p_value: float

    @property
    def decides(self) -> bool:
        """Whether no difference at all is ruled out."""
        return not self.low <= 0 <= self.high


def evidence(effect: Effect, expected: int, alpha: float = ALPHA) -> Evidence:
    """What is known of an effect now.

    The interval is at its narrowest, in relation to that of a fixed sample, when there are `expected` outcomes; to
    choose this by looking at them would spoil it. With k variants against one, `alpha` is to be divided by k.
    """
    if min(effect.theirs, effect.ours) < LEAST:
        return Evidence(-math.inf, math.inf, 1.0)
    margin = effect.standard_error * _widths(effect.count, expected, alpha)
    spread = _tuned(expected, alpha) * effect.count + 1
    return Evidence(effect.value - margin, effect.value + margin, _p_value(effect, spread))


def still_needed(effect: Effect, expected: int, target: float, alpha: float = ALPHA) -> int | None:
    """About how many more outcomes make the interval as narrow as `target` on each side, if they come as those so far;
    None when that takes more than a thousand times as many, or nothing can be said yet."""
    if effect.standard_error <= 0 or target <= 0 or min(effect.theirs, effect.ours) < LEAST:
        return None
    for times in (1.02**step for step in range(350)):
        count = effect.count * times
        if effect.standard_error / math.sqrt(times) * _widths(count, expected, alpha) <= target:
            return max(1, math.ceil(count - effect.count))
    return None


def width_at(spread: float, expected: int, alpha: float = ALPHA) -> float:
    """How far the interval reaches to each side once the `expected` outcomes are there, half of each variant, whose
    standard deviation is `spread`."""
    return 2 * spread / math.sqrt(expected) * _widths(expected, expected, alpha)


def _widths(count: float, expected: int, alpha: float) -> float:
    """How many standard errors the interval reaches to each side."""
    spread = _tuned(expected, alpha) * count + 1
    return math.sqrt(2 * spread / (spread - 1) * math.log(math.sqrt(spread) / alpha))


def _p_value(effect: Effect, spread: float) -> float:
    """The smallest alpha, by this spread, at which the interval would leave out 0."""
    if effect.standard_error == 0:
        return 1.0 if effect.value == 0 else 0.0
    square = (effect.value / effect.standard_error) ** 2
    return min(1.0, math.exp(math.log(spread) / 2 - square * (spread - 1) / (2 * spread)))


def _tuned(expected: int, alpha: float) -> float:
    """The squared parameter of the mixture that is best at so many outcomes."""
    log = -2 * math.log(alpha)
    return (log + math.log(log + 1)) / max(expected, 2 * LEAST)

"""What the items of a dataset are like as a whole, so that those which differ can be told."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Any

FEW = 20  # items from which on it is said what is usual
MOST_SHARE = 0.8  # of a language or sample rate that counts as the dataset's
USUAL_SHARE = 0.05  # what so many items have is no exception, however far from the middle
SPREADS = 6.0  # robust standard deviations from the middle, of logarithms


class Spread:
    """Middle and width of many values by median and median deviation, of their logarithms: 8 bytes a value.

    `spare` leaves what 5 % or more of the items have alone, however far it lies from the middle.
    """

    def __init__(self, *, spare: bool = True) -> None:
        self.spare = spare
        self.values = array("d")
        self.middle = self.width = 0.0
        self.common = (1.0, 0.0)

    def add(self, value: float | None) -> None:
        if value is not None and value > 0:
            self.values.append(value)

    def settle(self) -> None:
        import numpy as np

        if len(self.values) < FEW:
            return
        logs = np.log(np.frombuffer(self.values))
        self.middle = float(np.median(logs))
        # At least a tenth: where nearly all are equal, a little more is no exception.
        self.width = max(0.1, 1.4826 * float(np.median(np.abs(logs - self.middle))))
        if self.spare:
            ends = np.quantile(logs, [USUAL_SHARE, 1 - USUAL_SHARE])
            self.common = (float(np.exp(ends[0])), float(np.exp(ends[1])))

    @property
    def usual(self) -> float:
        """The median; 0 where there are too few to say."""
        import math

        return math.exp(self.middle) if len(self.values) >= FEW else 0.0

    def away(self, value: float) -> float:
        """How many widths a value lies above (or below, then negative) the middle; 0 for what is common."""
        import math

        if len(self.values) < FEW or value <= 0 or self.common[0] <= value <= self.common[1]:
            return 0.0
        return (math.log(value) - self.middle) / self.width


class Profile:
    """Filled item by item, settled once, then asked."""

    def __init__(self) -> None:
        self.lengths = Spread()
        self.pixels = Spread()
        self.sharpness = Spread(spare=False)
        self.languages: Counter[str] = Counter()
        self.rates: Counter[int] = Counter()
        self.bright = self.dark = self.seen = 0
        self.language = ""
        self.rate = 0

    def add(self, facts: dict[str, Any]) -> None:
        """One more item's facts."""
        if "unreadable" in facts:
            return
        self.seen += 1
        self.lengths.add(facts.get("seconds", facts.get("characters")))
        self.pixels.add(facts.get("pixels"))
        self.sharpness.add(facts.get("sharpness"))
        if facts.get("sure", 0) >= 0.9:
            self.languages[facts["language"]] += 1
        if rate := facts.get("sample_rate"):
            self.rates[rate] += 1
        self.bright += facts.get("bright", 0) > 0.9
        self.dark += facts.get("dark", 0) > 0.9

    def settle(self) -> None:
        """No more items will come."""
        for spread in (self.lengths, self.pixels, self.sharpness):
            spread.settle()
        self.language = _most(self.languages) or ""
        self.rate = _most(self.rates) or 0

    def rare(self, count: int) -> bool:
        """Whether so many items are few enough to be exceptions."""
        return count <= max(1, USUAL_SHARE * self.seen)

    def length_reason(self, length: float, unit: str) -> str:
        """Why a length is unusual, in words; '' when it is not."""
        away = self.lengths.away(length)
        if abs(away) < SPREADS:
            return ""
        word = "longer" if away > 0 else "shorter"
        return f"{_amount(length)} {unit}: far {word} than the others, whose middle is {_amount(self.lengths.usual)}."


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


def _most(counts: Counter[Any]) -> Any:
    """The value of nearly all; None when there is none, or too few to say."""
    total = sum(counts.values())
    if total < FEW:
        return None
    value, count = counts.most_common(1)[0]
    return value if count >= MOST_SHARE * total else None

"""Rolling forecasts by the methods that are fitted anew at each look: how many, from where, and what they said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.recipes.forecast import classical
from engine.task import Context

FITTED = ("ets", "arima")
WINDOWS = 24  # forecasts of each series on validation, and on the test, that candidates are compared by
FITS = 4  # of a method for these: a fit takes long, taking in further values does not
MOST_FITS = 240
LONGEST = 6000  # values of a series, above which these methods are not tried


@dataclass(frozen=True)
class Roll:
    """Forecasts of one series from rising origins, all by one fit; `first` is where they are kept."""

    method: str
    series: int
    part: str
    origins: np.ndarray
    first: int

    @property
    def rows(self) -> slice:
        return slice(self.first, self.first + len(self.origins))


class BackTest:
    """What was asked of each method, and (forecasts, horizon) what it said, in deviations; NaN until then."""

    def __init__(self, rolls: list[Roll], horizon: int) -> None:
        self.rolls = rolls
        self.said = np.full((sum(len(roll.origins) for roll in rolls), horizon), np.nan)

    def __len__(self) -> int:
        return len(self.rolls)

    def tried(self, method: str) -> bool:
        return any(roll.method == method for roll in self.rolls)

    def forecast(self, place: int, values: np.ndarray, mean: float, deviation: float, season: int) -> None:
        """Make the forecasts of one roll, of its series' values."""
        roll = self.rolls[place]
        made = classical.rolled(roll.method, values, roll.origins, self.said.shape[1], season)
        self.said[roll.rows] = (made - mean) / deviation

    def origins(self, part: str, number: int) -> np.ndarray:
        """Where forecasts of a series begin: for all methods the same."""
        mine = [roll.origins for roll in self.rolls if (roll.part, roll.series) == (part, number)]
        return np.unique(np.concatenate([np.zeros(0, dtype=int), *mine]))

    def of(self, part: str, method: str, number: int) -> np.ndarray:
        """(forecasts, horizon) of a method, at `origins`."""
        wanted = (part, method, number)
        rows = [self.said[roll.rows] for roll in self.rolls if (roll.part, roll.method, roll.series) == wanted]
        return np.concatenate([self.said[:0], *rows])


def plan(
    candidates: Sequence[str], origins: dict[str, list[np.ndarray]], longest: int, horizon: int, context: Context
) -> BackTest:
    """The rolling forecasts of the candidates that are fitted; none where they would take too long. `origins` are those
    that there are, by part and series."""
    names = [name for name in FITTED if name in candidates]
    series = len(origins["validation"])
    if names and (len(names) * series * FITS > MOST_FITS or longest > LONGEST):
        context.log(
            f"Exponential smoothing and ARIMA are not tried: {series} series of up to {longest:,} values would take "
            "too long."
        )
        names = []
    rolls: list[Roll] = []
    first = 0
    for number in range(series):
        for part in origins if len(origins["validation"][number]) else ():
            for some in chunks(origins[part][number]):
                for name in names:
                    rolls.append(Roll(name, number, part, some, first))
                    first += len(some)
    return BackTest(rolls, horizon)


def chunks(origins: np.ndarray) -> list[np.ndarray]:
    """At most WINDOWS origins, evenly spread, the last among them, in groups that share a fit."""
    if not len(origins):
        return []
    places = np.linspace(0, len(origins) - 1, min(WINDOWS, len(origins))).round().astype(int)
    chosen = np.unique(origins[places])
    return np.array_split(chosen, min(FITS, len(chosen)))

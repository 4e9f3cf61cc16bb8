"""A trained forecast as a network that takes the latest values of series, for use without TrainHub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.export import AS_A_FOLDER, Network
from engine.protocol import EngineError, FailureCode
from engine.recipes.forecast import classical
from engine.recipes.forecast.bands import LATEST, LEAST
from engine.recipes.forecast.figures import LEVELS
from engine.recipes.forecast.predictor import ForecastPredictor

MOST_PLACES = 4_000_000  # numbers of a row's windows, above which intervals are left out
BOUNDS = [f"{side}_{level}" for level in LEVELS for side in ("low", "high")]


class Continued(nn.Module):
    """(rows, past) values, NaN before the first known one, and the numbers of their series (rows,) → forecasts
    (rows, horizon), then the lower and the upper bound of each interval. All float64."""

    def __init__(self, made: ForecastPredictor) -> None:
        super().__init__()
        shape, self.made = made.shape, made
        self.linear, self.network = made.linear, made.network
        self.look = max(shape.history, made.season) if made.chosen == "naive" else shape.history
        looks = LATEST * shape.horizon  # forecasts whose truth is known, by which intervals are wide or narrow
        self.intervals = (looks + 1) * (self.look + shape.horizon) <= MOST_PLACES
        self.past = self.look + (looks + shape.horizon - 1 if self.intervals else 0)
        first = torch.arange(looks)[:, None] if self.intervals else torch.zeros(0, 1, dtype=torch.long)
        self.register_buffer("earlier", first + torch.arange(self.look))
        self.register_buffer("later", first + self.look + torch.arange(shape.horizon))
        season = min(made.season, self.look)
        again = self.look - season + torch.arange(shape.horizon) % season
        self.register_buffer("again", again)
        self.register_buffer("means", _doubles([one["mean"] for one in made.known]))
        self.register_buffer("deviations", _doubles([one["deviation"] for one in made.known]))
        self.register_buffer("widths", torch.from_numpy(made.bands.widths).double())
        self.register_buffer("usual", torch.from_numpy(made.bands.usual).double())

    def forward(self, past: torch.Tensor, series: torch.Tensor) -> tuple[torch.Tensor, ...]:
        mean, deviation = self.means[series][:, None], self.deviations[series][:, None]
        still = deviation == 0  # a series that never changes has its value as mean
        even = (past - mean) / torch.where(still, 1.0, deviation)
        said = self._said(even[:, -self.look :]) * deviation
        middle = mean + torch.where(still, 0.0, said)
        if not self.intervals:
            return (middle,)
        reach = self.widths[series] * self._share(even, series)[:, None, None] * deviation[:, :, None]
        bounds = [middle + side * reach[:, level] for level in range(len(LEVELS)) for side in (-1, 1)]
        return (middle, *bounds)

    def _said(self, even: torch.Tensor) -> torch.Tensor:
        """(…, look) deviations → (…, horizon)."""
        if self.made.chosen == "naive":
            return even[..., self.again]
        past = even.float()
        said = self.linear(past)
        if self.made.chosen == "network":
            said = said + self.network(past)
        return said.double()

    def _share(self, even: torch.Tensor, series: torch.Tensor) -> torch.Tensor:
        """(rows,) how large the latest errors are beside the usual ones; 1 where too few are known."""
        windows = even[:, self.earlier]  # (rows, looks, look)
        missed = (self._said(windows) - even[:, self.later]).abs().mean(2)
        known = torch.logical_not(torch.isnan(missed + windows.sum(2)))  # all that is looked back at is there
        count = known.double().sum(1)
        latest = torch.where(known, missed, 0.0).sum(1) / count.clamp(min=1)
        share = LEAST + (1 - LEAST) * latest / self.usual[series]
        return torch.where((count < self.made.shape.horizon) | torch.isnan(share), 1.0, share)


def network(folder: Path) -> Network:
    """The network of an artifact folder; EngineError when its files can't be used, or a method was chosen that is
    fitted to each past."""
    made = ForecastPredictor.load(folder)
    if made.chosen in classical.METHODS and made.chosen != "naive":
        raise EngineError(
            FailureCode.BAD_CONFIG,
            "This forecast was made by exponential smoothing or ARIMA, which are fitted anew to each past: no network "
            "does that.",
            f"{AS_A_FOLDER} Or train with the candidates 'linear' and 'network' alone.",
        )
    module = Continued(made).eval()
    horizon, names = made.shape.horizon, ["forecast", *(BOUNDS if module.intervals else [])]
    facts: dict[str, Any] = {
        "inputs": [
            {"name": "past", "shape": ["batch", module.past], "type": "float64"},
            {"name": "series", "shape": ["batch"], "type": "int64"},
        ],
        "outputs": [{"name": name, "shape": ["batch", horizon], "type": "float64"} for name in names],
        "series": [one["name"] for one in made.known],
        "columns": {"targets": made.columns.targets, "time": made.columns.time, "series": made.columns.series},
        "step": {"unit": made.step.unit, "size": made.step.size},
        "preparing": [
            "'past' has the latest values of a series at even steps of time, the latest one last, in its own unit. "
            f"The last {module.look} must be known; before the first known one stands NaN.",
            "'series' is the place of the series in the list 'series' here, from 0 on.",
            "'step' is the distance of two values: microseconds, months, working days, or rows.",
        ],
    }  # fmt: skip

    def unit(past: torch.Tensor, series: torch.Tensor) -> torch.Tensor:
        deviation = module.deviations[series][:, None]
        return torch.where(deviation == 0, 1.0, deviation)

    return Network(module, _Pasts(module), facts, _Own(made, module), unit, sizes=(1, 6))


class _Pasts:
    """Makes pasts that wander, some of them short."""

    def __init__(self, module: Continued) -> None:
        self.module = module

    def __call__(self, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        series = torch.arange(rows) % len(self.module.means)
        walks = torch.randn(rows, self.module.past, dtype=torch.float64).cumsum(1) / 4
        past = self.module.means[series][:, None] + self.module.deviations[series][:, None] * walks
        for row in range(1, rows, 3):  # a new series, and one of half the length
            past[row, : (self.module.past - self.module.look) // (1 + row % 2)] = torch.nan
        return past, series


class _Own:
    """What the model itself says of such pasts."""

    def __init__(self, made: ForecastPredictor, module: Continued) -> None:
        self.made, self.module = made, module

    def __call__(self, past: torch.Tensor, series: torch.Tensor) -> Sequence[Any]:
        rows = [
            self._row(values[~np.isnan(values)], int(place)) for values, place in zip(past.numpy(), series, strict=True)
        ]
        return [np.stack(column) for column in zip(*rows, strict=True)]

    def _row(self, past: np.ndarray, place: int) -> list[np.ndarray]:
        middle = self.made._values(place, past, np.array([len(past)]))[0]
        if not self.module.intervals:
            return [middle]
        share = self.made._latest_error(place, past)
        reach = self.made.bands.reach(place, share)[:, 0] * self.made.known[place]["deviation"]
        return [middle, *(middle + side * one for one in reach for side in (-1, 1))]


def _doubles(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)

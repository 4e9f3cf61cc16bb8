"""A trained detector of anomalies as a network that takes rows of numbers, for use without TrainHub."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.export import Network
from engine.onnxtrees import Ensemble, Trees, add_forest
from engine.recipes.anomaly.forest import usual_path
from engine.recipes.anomaly.predictor import AnomalyPredictor
from engine.recipes.anomaly.scoring import CALM, KINDS, MOST, SEASONS, SHORT

ROWS = (1, 700)
ENOUGH = 20  # rows before one, from which on it has a distance from them


class Scores(nn.Module):
    """(rows, columns) values in order of time, NaN where missing → (rows,) scores. All float64."""

    def __init__(self, made: AnomalyPredictor) -> None:
        super().__init__()
        self.chosen, self.scorer = made.chosen, made.scorer
        self.trees = Trees(1)
        add_forest(self.trees, made.scorer.trees)
        self.path = max(float(usual_path(np.array([made.scorer.sample]))[0]), 1e-9)
        self.register_buffer("medians", torch.from_numpy(made.scorer.medians).double())
        self.register_buffer("deviations", torch.from_numpy(made.scorer.deviations).double())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        distances = self._by_time(values) if self.scorer.by_time else (values - self.medians) / self.deviations
        distances = distances.clamp(-MOST, MOST)
        distances = torch.where(torch.isnan(distances), 0.0, distances)
        if self.chosen == "forest":
            depth = Ensemble.apply(distances.float().double(), self.trees).double()[:, 0]
            return torch.exp(-depth / max(1, len(self.scorer.trees)) / self.path * math.log(2))
        size = distances.abs()
        if self.scorer.by_time and self.chosen in KINDS:
            size = size[:, KINDS.index(self.chosen) :: len(KINDS)]
        return size.amax(1)

    def _by_time(self, values: torch.Tensor) -> torch.Tensor:
        """`scoring.features`, as a part of the network."""
        made = []
        for column, deviation in zip(values.unbind(1), self.deviations.tolist(), strict=True):
            floor = max(CALM * deviation, 1e-12)
            changes = _recent_mean((column - torch.cat([column[:1], column[:-1]])).abs(), SHORT)
            rest = _without_season(column, self.scorer.season)
            level, beyond, restless = (_distance(one, self.scorer.window, floor) for one in (column, rest, changes))
            made += [level, beyond, restless.clamp(min=0)]
        return torch.stack(made, 1)


def network(folder: Path) -> Network:
    """The network of an artifact folder; EngineError when its files can't be used."""
    made = AnomalyPredictor.load(folder)
    facts: dict[str, Any] = {
        "inputs": [{"name": "values", "shape": ["rows", len(made.columns)], "type": "float64"}],
        "outputs": [{"name": "score", "shape": ["rows"], "type": "float64"}],
        "columns": made.columns, "time": made.time, "threshold": made.threshold,
        "preparing": [
            "'values' has the columns of the list 'columns' here, in its order; what is missing is NaN.",
            "A row is an anomaly from the score 'threshold' on.",
        ],
    }  # fmt: skip
    if made.time:
        facts["quiet_rows"] = made.quiet
        facts["before"] = {"last": str(made.last), "values": _plain(made.tail)}
        facts["preparing"] += [
            "Rows are in order of time. Where all of them are later than 'last', put the rows of 'before' in front of "
            "them (null is NaN), and leave out the scores of these.",
            "An alarm is an anomaly whose score is above those of the 'quiet_rows' rows before it.",
        ]
    scorer = made.scorer

    def example(rows: int) -> tuple[torch.Tensor]:
        noise = torch.randn(rows, len(made.columns), dtype=torch.float64)
        values = torch.from_numpy(scorer.medians + scorer.deviations * noise.numpy())
        return (torch.where(torch.rand(rows, 1) < 0.05, torch.nan, values),)

    def own(values: torch.Tensor) -> list[np.ndarray]:
        return [scorer.scores(made.chosen, scorer.distances(values.numpy()))]

    return Network(Scores(made).eval(), example, facts, own, sizes=ROWS, trees=made.chosen == "forest")


def _distance(column: torch.Tensor, window: int, floor: float) -> torch.Tensor:
    """`scoring.distance`."""
    known = torch.logical_not(torch.isnan(column))
    first = torch.where(known, column, 0.0).gather(0, known.long().argmax(0, keepdim=True))
    moved = torch.where(known, column - first, 0.0)
    counts, sums, squares = (_before(part, window) for part in (known.double(), moved, moved.square()))
    some = counts.clamp(min=1)
    mean = sums / some
    spread = (squares / some - mean.square()).clamp(min=0).sqrt()
    found = (column - first - mean) / spread.clamp(min=floor)
    return torch.where((counts >= ENOUGH) & known, found, 0.0)


def _without_season(column: torch.Tensor, season: int) -> torch.Tensor:
    """`scoring.without_season`: the median of up to seven, by their order; missing ones come last."""
    if season <= 1:
        return column
    places = _places(column)
    past = []
    for back in range(1, SEASONS + 1):
        at = places - back * season
        past.append(torch.where(at >= 0, column.gather(0, at.clamp(min=0)), torch.nan))
    earlier = torch.stack(past)
    known = torch.logical_not(torch.isnan(earlier))
    ordered = torch.where(known, earlier, torch.inf).sort(0).values
    count = known.long().sum(0, keepdim=True)
    low = (torch.div(count + 1, 2, rounding_mode="floor") - 1).clamp(min=0)
    high = torch.div(count, 2, rounding_mode="floor").clamp(max=SEASONS - 1)
    usual = (ordered.gather(0, low) + ordered.gather(0, high))[0] / 2
    return column - torch.where(count[0] > 0, usual, torch.nan)


def _recent_mean(column: torch.Tensor, rows: int) -> torch.Tensor:
    """`scoring.recent_mean`."""
    known = torch.logical_not(torch.isnan(column))
    counts = _before(known.double(), rows, own=True)
    sums = _before(torch.where(known, column, 0.0), rows, own=True)
    return torch.where(counts > 0, sums / counts.clamp(min=1), torch.nan)


def _before(column: torch.Tensor, window: int, own: bool = False) -> torch.Tensor:
    """`scoring._before`: the sum of the values before each one."""
    whole = torch.cat([torch.zeros(1, dtype=column.dtype), column.cumsum(0)])
    last = _places(column) + int(own)
    return whole.gather(0, last) - whole.gather(0, (last - window).clamp(min=0))


def _places(column: torch.Tensor) -> torch.Tensor:
    """0, 1, 2 … for as many rows as there are; a number of rows would be fixed in the network."""
    return torch.ones_like(column).cumsum(0).long() - 1


def _plain(rows: np.ndarray) -> list[list[float | None]]:
    return [[None if math.isnan(value) else value for value in row] for row in rows.tolist()]

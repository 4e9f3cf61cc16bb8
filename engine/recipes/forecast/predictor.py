"""Continues series with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

from engine.artifact import read_artifact
from engine.protocol import EngineError, FailureCode
from engine.recipes.forecast import classical
from engine.recipes.forecast.bands import LATEST, Bands, latest_errors
from engine.recipes.forecast.figures import LEVELS
from engine.recipes.forecast.model import Linear, Network, Shape
from engine.recipes.forecast.series import Columns, Series, Step, names_of, regular
from engine.state import MODEL, load
from engine.tables import bad_rows, check_names, columns_of, time_text


class ForecastPredictor:
    """A loaded model."""

    def __init__(self, facts: dict[str, Any], arrays: dict[str, torch.Tensor], device: str) -> None:
        self.columns = Columns(**facts["columns"])
        self.step = Step(**facts["step"])
        self.season: int = facts["season"]
        self.chosen: str = facts["chosen"]
        self.shape = Shape(**facts["shape"])
        self.device = device
        self.linear = _loaded(Linear(self.shape), "linear.", arrays).to(device)
        self.network = _loaded(Network(self.shape), "network.", arrays).to(device)
        self.known: list[dict[str, Any]] = facts["series"]
        usual = [one.get("usual_error") for one in self.known]
        self.bands = Bands(arrays["bands"].numpy(), np.array([np.nan if one is None else one for one in usual]))
        self.ends = [arrays[f"end_{number}"].numpy() for number in range(len(self.known))]

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used."""
        facts = read_artifact(folder, "forecast")
        try:
            return cls(facts, load((folder / MODEL).read_bytes()), device)
        except Exception as error:  # whatever a damaged file makes of itself
            raise EngineError(
                FailureCode.BAD_CONFIG, f"The model's files can't be used: {error}.", "Train the model again."
            ) from error

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each table of past rows ([{column: value}, …]; none: the end of the training data is continued)
        {"forecast": [{"time", "value", "low_80", "high_80", "low_95", "high_95"}, …]}, with "series" where there are
        several. The parameter `horizon` asks for fewer steps. EngineError BAD_DATA says what rows lack."""
        horizon = self._horizon(dict(parameters or {}))
        return [{"forecast": self._continued(rows, number, horizon)} for number, rows in enumerate(inputs)]

    def _horizon(self, parameters: dict[str, Any]) -> int:
        most = self.shape.horizon
        asked = parameters.pop("horizon", most)
        if parameters or not (type(asked) is int and 1 <= asked <= most):
            raise EngineError(
                FailureCode.BAD_CONFIG,
                "The parameters can't be used." if parameters else f"The horizon must be a whole number up to {most}.",
                f"The only parameter is 'horizon', from 1 to {most}.",
            )
        return asked

    def _continued(self, rows: Any, number: int, horizon: int) -> list[dict[str, Any]]:
        pasts = self._pasts(rows, number) if rows else self._own()
        made: list[dict[str, Any]] = []
        for place, one in pasts:
            made += self._forecast(place, one, horizon, several=len(self.known) > 1)
        return made

    def _own(self) -> list[tuple[int, Series]]:
        """The ends of the series that were trained on."""
        pairs = zip(self.known, self.ends, strict=True)
        return [
            (place, Series(facts["name"], values, np.datetime64(facts["last"], "us") if facts["last"] else None))
            for place, (facts, values) in enumerate(pairs)
        ]

    def _pasts(self, rows: Any, number: int) -> list[tuple[int, Series]]:
        """The series of rows that were handed over, each with its place among those that were trained on."""
        columns = self.columns
        kinds = dict.fromkeys(columns.targets, "number")
        kinds |= ({columns.time: "date"} if columns.time else {}) | ({columns.series: "text"} if columns.series else {})
        read = columns_of(rows, kinds, number)
        named = {name for row in rows for name in row}
        check_names(rows, list(kinds), [*kinds, *named], number)
        groups = names_of(read[columns.series]) if columns.series else np.array([""] * len(rows))
        places = {facts["name"]: place for place, facts in enumerate(self.known)}
        found: list[tuple[int, Series]] = []
        for group in sorted(set(groups)):
            mine = groups == group
            times = read[columns.time][mine] if columns.time else None
            values = np.column_stack([read[target][mine] for target in columns.targets])
            try:
                made = regular(group, times, values, columns, self.step, lambda message: None)
            except EngineError as error:
                raise bad_rows(number, error.message.rstrip("."), error.hint) from error
            for one in made:
                if one.name not in places and len(self.known) > 1:
                    raise bad_rows(
                        number, f"the model knows no series '{one.name:.60}'", f"Known are: {', '.join(places)[:500]}."
                    )
                place = places.get(one.name, 0)
                self._check_still(place, one, number)
                self._check_length(place, one, number)
                found.append((place, one))
        return found

    def _check_still(self, place: int, one: Series, number: int) -> None:
        """A series that never changed while the model learned is known by its only value."""
        value = self.known[place]["mean"]
        if self._still(place) and not (one.values == value).all():
            raise bad_rows(
                number,
                f"'{one.name}' was always {value:g} while the model learned, and is not any more",
                "Train again with these rows, or leave this series out of them.",
            )

    def _still(self, place: int) -> bool:
        return not self.known[place]["deviation"]

    def _check_length(self, place: int, one: Series, number: int) -> None:
        if self._still(place):
            return
        least = self.shape.history if self.chosen in ("linear", "network") else max(10, 2 * self.season + 5)
        if len(one.values) < least:
            raise bad_rows(
                number,
                f"'{one.name}' has {len(one.values)} rows of past, the model looks at {least}",
                f"Send the last {least} rows or more, or none to continue from the end of the training data.",
            )

    def _forecast(self, place: int, one: Series, horizon: int, several: bool) -> list[dict[str, Any]]:
        deviation = self.known[place]["deviation"]
        middle = self._values(place, one.values, np.array([len(one.values)]))[0]
        reaches = self.bands.reach(place, self._latest_error(place, one.values))[:, 0]
        times = [None] * horizon if one.last is None else [time_text(t) for t in self.step.after(one.last, horizon)]
        made: list[dict[str, Any]] = []
        for ahead in range(horizon):
            entry: dict[str, Any] = {"series": one.name} if several else {}
            entry |= {"time": ahead + 1 if times[ahead] is None else times[ahead], "value": float(middle[ahead])}
            for level, reach in zip(LEVELS, reaches[:, ahead] * deviation, strict=True):
                entry |= {f"low_{level}": float(middle[ahead] - reach), f"high_{level}": float(middle[ahead] + reach)}
            made.append(entry)
        return made

    def _latest_error(self, place: int, past: np.ndarray) -> np.ndarray:
        """(1,) how far the latest forecasts would have been off whose truth is in the past, in deviations."""
        horizon, end = self.shape.horizon, len(past)
        begins = np.arange(max(self.shape.history, end - (LATEST + 1) * horizon + 1), end - horizon + 1)
        if np.isnan(self.bands.usual[place]) or len(begins) < horizon:
            return np.array([np.nan])
        truth = past[begins[:, None] + np.arange(horizon)]
        missed = (self._values(place, past, begins) - truth) / self.known[place]["deviation"]
        return latest_errors(missed, begins, np.array([end]))

    @torch.no_grad()
    def _values(self, place: int, past: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """(origins, horizon) what comes after the values before each origin."""
        if self._still(place):
            return np.full((len(origins), self.shape.horizon), self.known[place]["mean"])
        if self.chosen in classical.METHODS:
            method = classical.METHODS[self.chosen]
            return np.stack([method(past[:origin], self.shape.horizon, self.season) for origin in origins])
        mean, deviation = self.known[place]["mean"], self.known[place]["deviation"]
        windows = past[np.maximum(origins[:, None] + np.arange(-self.shape.history, 0), 0)]
        even = torch.from_numpy((windows - mean) / deviation).float().to(self.device)
        said = self.linear(even)
        if self.chosen == "network":
            said = said + self.network(even)
        return said.double().cpu().numpy() * deviation + mean


def _loaded(model: nn.Module, prefix: str, arrays: dict[str, torch.Tensor]) -> nn.Module:
    model.load_state_dict({name.removeprefix(prefix): t for name, t in arrays.items() if name.startswith(prefix)})
    return model.eval()

"""Scores rows with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from engine.artifact import read_artifact
from engine.protocol import EngineError, FailureCode
from engine.recipes.anomaly import scoring
from engine.recipes.anomaly.model import Scorer, trees_of
from engine.state import MODEL, load
from engine.tables import bad_rows, check_names, columns_of, time_text


class AnomalyPredictor:
    """A loaded model."""

    def __init__(self, facts: dict[str, Any], arrays: dict[str, torch.Tensor]) -> None:
        self.columns: list[str] = facts["columns"]
        self.time: str = facts["time"]
        self.chosen: str = facts["chosen"]
        self.threshold: float = facts["threshold"]
        self.quiet: int = facts["quiet_rows"]
        self.last = np.datetime64(facts["last"], "us") if facts["last"] else None
        self.tail = arrays["tail"].numpy()
        medians, deviations = arrays["medians"].numpy(), arrays["deviations"].numpy()
        window, season, sample = facts["window"], facts["season"], facts["sample"]
        self.scorer = Scorer(bool(self.time), window, season, medians, deviations, sample, trees_of(arrays))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used. It calculates on the CPU everywhere."""
        facts = read_artifact(folder, "anomaly")
        try:
            return cls(facts, load((folder / MODEL).read_bytes()))
        except Exception as error:  # whatever a damaged file makes of itself
            raise EngineError(
                FailureCode.BAD_CONFIG, f"The model's files can't be used: {error}.", "Train the model again."
            ) from error

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each table ([{column: value}, …]) {"rows": [{"score", "threshold", "is_anomaly", "alarm"}, …]} in the
        order given, with the "time" of each where the model goes by time; `alarm` is true where an event begins. Rows
        that are later than the training data are compared with its end too. EngineError BAD_DATA says what can't be
        used."""
        if parameters:
            raise EngineError(FailureCode.BAD_CONFIG, "Anomaly takes no parameters.", "Send none.")
        return [{"rows": self._rows(rows, number)} for number, rows in enumerate(inputs)]

    def _rows(self, rows: Any, number: int) -> list[dict[str, Any]]:
        if not rows:
            raise bad_rows(number, "it has no rows", "Send at least one row.")
        kinds = dict.fromkeys(self.columns, "number") | ({self.time: "date"} if self.time else {})
        columns = columns_of(rows, kinds, number)
        named = {str(name) for row in rows for name in row}
        check_names(rows, list(kinds), [*kinds, *named], number)
        values = np.column_stack([columns[name] for name in self.columns])
        order = np.arange(len(rows))
        before = np.zeros((0, len(self.columns)))
        times = columns[self.time] if self.time else np.zeros(0, dtype="datetime64[us]")
        if self.time:
            if np.isnat(times).any():
                place = int(np.isnat(times).argmax()) + 1
                raise bad_rows(number, f"row {place} has no time in '{self.time}'", "Give each row its time.")
            order = np.argsort(times, kind="stable")
            before = self.tail if times.min() > self.last else before
        scores = self.scorer.scores(self.chosen, self.scorer.distances(np.concatenate([before, values[order]])))
        above = scores >= self.threshold
        alarm = above & scoring.fresh(scores, self.quiet) if self.time else above
        made: list[dict[str, Any]] = [{}] * len(rows)
        for place, row in enumerate(order):
            at = place + len(before)
            when = {"time": time_text(times[row])} if self.time else {}
            made[row] = when | {
                "score": float(scores[at]),
                "threshold": self.threshold,
                "is_anomaly": bool(above[at]),
                "alarm": bool(alarm[at]),
            }
        return made

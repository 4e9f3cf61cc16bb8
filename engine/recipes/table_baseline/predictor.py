"""Answers rows with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from engine.artifact import load_weights, read_artifact
from engine.protocol import EngineError, FailureCode
from engine.recipes.table_baseline.encoding import Encoder
from engine.recipes.table_baseline.linear import Linear
from engine.recipes.table_baseline.model import Answers
from engine.state import MODEL, load
from engine.tables import bad_rows, check_names, columns_of

SHOWN = 10  # classes that are named with their probability


class TableBaselinePredictor:
    """A loaded model."""

    def __init__(self, facts: dict[str, Any], answers: Answers) -> None:
        self.answers = answers
        self.encoder = answers.encoder
        self.classes: list[str] = facts["classes"]
        self.known: dict[str, str] = facts["columns"]

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used. Trees answer on the CPU everywhere."""
        facts = read_artifact(folder, "table-baseline")
        try:
            shape = load((folder / MODEL).read_bytes())["weight"].shape
            count = len(facts["answers"]["starts"])
            texts = [(folder / f"trees-{number}.txt").read_text() for number in range(count)]
            linear = Linear(*shape)
            load_weights(folder, linear, "cpu")
            answers = Answers(texts=texts, **facts["answers"])
            answers.load(Encoder.from_json(facts["encoder"]), linear)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise _unusable(error) from error
        except Exception as error:  # LightGBM's and safetensors' own errors
            if isinstance(error, EngineError):
                raise
            raise _unusable(error) from error
        return cls(facts, answers)

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each table ([{column: value}, …]) {"rows": [{"value"} or {"label", "confidence", "probabilities"}, …]}.
        EngineError BAD_DATA says which column is missing or unknown, or which value can't be read."""
        if parameters:
            raise EngineError(FailureCode.BAD_CONFIG, "Table baseline takes no parameters.", "Send none.")
        return [{"rows": self._rows(rows, number)} for number, rows in enumerate(inputs)]

    def _rows(self, rows: Any, number: int) -> list[dict[str, Any]]:
        if not rows:
            raise bad_rows(number, "it has no rows", "Send at least one row.")
        columns = columns_of(rows, self.encoder.kinds, number)
        check_names(rows, list(self.encoder.kinds), list(self.known), number)
        x = self.encoder.matrix(columns)
        if not self.answers.classification:
            return [{"value": float(value)} for value in self.answers.values(x)]
        chances = self.answers.probabilities(x)
        named = self.answers.named(chances)
        return [self._label(*row) for row in zip(chances, named, strict=True)]

    def _label(self, chances: np.ndarray, named: int) -> dict[str, Any]:
        order = np.argsort(-chances, kind="stable")[:SHOWN]
        probabilities = {self.classes[place]: round(float(chances[place]), 6) for place in order}
        return {
            "label": self.classes[named],
            "confidence": round(float(chances[named]), 6),
            "probabilities": probabilities,
        }


def _unusable(error: Exception) -> EngineError:
    return EngineError(FailureCode.BAD_CONFIG, f"The model's files can't be used: {error}.", "Train the model again.")

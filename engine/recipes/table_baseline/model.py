"""What answers: several boosted models that speak together, or a linear one; with how an answer is made of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.recipes.table_baseline.boosting import Shape, Trees, probabilities
from engine.recipes.table_baseline.encoding import Encoder
from engine.recipes.table_baseline.linear import Linear


@dataclass
class Answers:
    """`texts` are the boosted models in LightGBM's format ('' of one without a tree); none: the linear model answers.
    Numbers are scores times deviation plus mean. Of two classes `rare` is named from `threshold` on."""

    classification: bool
    classes: int
    texts: list[str]
    starts: list[list[float]]
    mean: float
    deviation: float
    threshold: float
    rare: int

    def load(self, encoder: Encoder, linear: Linear, threads: int = 1) -> None:
        """Make ready to answer."""
        self.encoder, self.linear = encoder, linear
        self.trees = [Trees(text, start, threads) for text, start in zip(self.texts, self.starts, strict=True)]
        self.shape = Shape(self.classification, self.classes, 1, 1.0, 2, 1, threads)

    def as_linear(self) -> Answers:
        """The linear model alone, for comparison."""
        other = Answers(self.classification, self.classes, [], [], self.mean, self.deviation, 0.5, self.rare)
        other.load(self.encoder, self.linear)
        return other

    def as_json(self) -> dict[str, Any]:
        """All but the trees, which have files of their own."""
        facts = ("classification", "classes", "starts", "mean", "deviation", "threshold", "rare")
        return {name: getattr(self, name) for name in facts}

    def values(self, x: np.ndarray) -> np.ndarray:
        """(rows,) numbers in the unit of the target."""
        return np.mean([scores[:, 0] for scores in self._scores(x)], axis=0) * self.deviation + self.mean

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """(rows, classes)."""
        return np.mean([probabilities(self.shape, scores) for scores in self._scores(x)], axis=0)

    def named(self, chances: np.ndarray) -> np.ndarray:
        """The class number that is answered for each row of probabilities."""
        if self.classes != 2:
            return chances.argmax(1)
        return np.where(chances[:, self.rare] >= self.threshold, self.rare, 1 - self.rare)

    def error(self, x: np.ndarray, truth: np.ndarray) -> float:
        """Mean absolute error, or log loss."""
        if not self.classification:
            return float(np.abs(self.values(x) - truth).mean())
        right = self.probabilities(x)[np.arange(len(truth)), truth.astype(int)]
        return float(-np.log(np.clip(right, 1e-15, 1)).mean())

    def columns_used(self, encoder: Encoder) -> list[str]:
        """Columns that the answer may depend on, those that trees gain most by first."""
        names = [feature.column for feature in encoder.features]
        if not self.trees:
            return list(dict.fromkeys(names))
        gains: dict[str, float] = dict.fromkeys(names, 0.0)
        for trees in self.trees:
            for name, gain in zip(names, trees.gains(len(names)), strict=True):
                gains[name] += float(gain)
        return [name for name in sorted(gains, key=lambda name: -gains[name]) if gains[name] > 0]

    def _scores(self, x: np.ndarray) -> list[np.ndarray]:
        if self.trees:
            return [trees.scores(x) for trees in self.trees]
        return [self.linear.scores(self.encoder.straight(x))]

"""Boosted trees in slices of rounds, so that a run can end between any two of them and go on to the very same trees.

LightGBM's own object can't be saved with all that it draws from. So each slice is a small model of its own that begins
at the scores so far, with a seed of its own; at the end the slices are joined to one model in LightGBM's text format.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.randomness import mix

_TREE = re.compile(r"^Tree=\d+\n", re.MULTILINE)
_END = "end of trees"


@dataclass(frozen=True)
class Shape:
    """How trees are grown; `classes` is 1 for numbers and for two classes."""

    classification: bool
    classes: int
    rounds: int  # of a slice
    learning_rate: float
    leaves: int
    rows_per_leaf: int
    threads: int

    @property
    def outputs(self) -> int:
        return self.classes if self.classes > 2 else 1

    def parameters(self, seed: int) -> dict[str, Any]:
        objective = "regression" if not self.classification else "binary" if self.classes == 2 else "multiclass"
        return {
            "objective": objective, "learning_rate": self.learning_rate, "num_leaves": self.leaves,
            "min_data_in_leaf": self.rows_per_leaf, "feature_fraction": 0.8, "bagging_fraction": 0.8,
            "bagging_freq": 1, "lambda_l2": 1.0, "min_data_per_group": 5 * self.rows_per_leaf, "cat_smooth": 5.0,
            "boost_from_average": False, "deterministic": True, "force_row_wise": True, "num_threads": self.threads,
            "feature_pre_filter": False, "seed": seed % 2**31, "verbosity": -1,
            **({"num_class": self.classes} if self.classes > 2 else {}),
        }  # fmt: skip


class Fold:
    """The trees that learn from some rows, and stop when the others say so. Scores are (rows, outputs)."""

    def __init__(self, shape: Shape, x: np.ndarray, y: np.ndarray, learned: np.ndarray, held: np.ndarray,
                 categorical: Sequence[int], seed: int) -> None:  # fmt: skip
        import lightgbm

        self.shape, self.x, self.y, self.learned, self.held, self.seed = shape, x, y, learned, held, seed
        self.start = first_scores(shape, y[learned])
        self.texts: list[str] = []
        self.losses: list[float] = []  # on the held-out rows, after each slice
        self.scores = np.repeat(self.start[None], len(x), 0)  # of all rows of the training part
        parameters = shape.parameters(seed)
        self.data = lightgbm.Dataset(x[learned], y[learned], params=parameters, categorical_feature=list(categorical))
        self.data.construct()

    def grow(self) -> None:
        """One more slice."""
        import lightgbm

        scores = self.scores[self.learned]
        self.data.set_init_score(scores if self.shape.outputs > 1 else scores[:, 0])
        booster = lightgbm.Booster(self.shape.parameters(mix(self.seed, len(self.texts))), self.data)
        for _ in range(self.shape.rounds):
            booster.update()
        self.take(booster.model_to_string())

    def take(self, text: str) -> None:
        """Add a slice that was grown now or before."""
        self.texts.append(text)
        self.scores = self.scores + raw(booster_of(text, self.shape.threads), self.x)
        self.losses.append(loss(self.shape, self.scores[self.held], self.y[self.held]))

    @property
    def best(self) -> int:
        """The number of slices after which the held-out rows were told best; 0 when no tree helps."""
        start = loss(self.shape, np.repeat(self.start[None], len(self.held), 0), self.y[self.held])
        return int(np.argmin([start, *self.losses]))

    def stopped(self, patience: int) -> bool:
        """Whether it got no better for so many rounds."""
        return (len(self.losses) - self.best) * self.shape.rounds >= patience

    @property
    def learned_loss(self) -> float:
        return loss(self.shape, self.scores[self.learned], self.y[self.learned])


class Trees:
    """Joined slices that answer: raw scores (rows, outputs) of any rows."""

    def __init__(self, text: str, start: Sequence[float], threads: int = 1) -> None:
        self.booster = booster_of(text, threads) if text else None
        self.start = np.asarray(start, dtype=float)

    def scores(self, x: np.ndarray) -> np.ndarray:
        start = np.repeat(self.start[None], len(x), 0)
        return start + raw(self.booster, x) if self.booster else start

    def gains(self, features: int) -> np.ndarray:
        return self.booster.feature_importance("gain") if self.booster else np.zeros(features)


def first_scores(shape: Shape, y: np.ndarray) -> np.ndarray:
    """Where the trees begin: the mean, or the logarithms of the classes' odds or shares."""
    if not shape.classification:
        return np.array([y.mean()])
    shares = (np.bincount(y.astype(int), minlength=shape.classes) + 0.5) / (len(y) + 0.5 * shape.classes)
    return np.log(shares[1:] / shares[:1]) if shape.classes == 2 else np.log(shares)


def probabilities(shape: Shape, scores: np.ndarray) -> np.ndarray:
    """(rows, classes) of raw scores."""
    if shape.classes == 2:
        one = 1 / (1 + np.exp(-np.clip(scores[:, 0], -500, 500)))
        return np.column_stack([1 - one, one])
    raised = np.exp(scores - scores.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def loss(shape: Shape, scores: np.ndarray, y: np.ndarray) -> float:
    """Root of the mean squared error, or the log loss."""
    if not shape.classification:
        return float(np.sqrt(np.mean((scores[:, 0] - y) ** 2)))
    right = probabilities(shape, scores)[np.arange(len(y)), y.astype(int)]
    return float(-np.log(np.clip(right, 1e-15, 1)).mean())


def raw(booster: Any, x: np.ndarray) -> np.ndarray:
    """A model's own scores, (rows, outputs)."""
    made = booster.predict(x, raw_score=True)
    return made[:, None] if made.ndim == 1 else made


def booster_of(text: str, threads: int) -> Any:
    import lightgbm

    booster = lightgbm.Booster(model_str=text)
    booster.params["num_threads"] = threads
    return booster


def join(texts: Sequence[str]) -> str:
    """One model of the trees of several, in LightGBM's text format; '' of none."""
    if not texts:
        return ""
    head = "\n".join(line for line in _TREE.split(texts[0])[0].splitlines() if not line.startswith("tree_sizes"))
    trees = [tree.rstrip("\n") for text in texts for tree in _TREE.split(text.partition(_END)[0])[1:]]
    numbered = "\n\n\n".join(f"Tree={number}\n{tree}" for number, tree in enumerate(trees))
    return f"{head.rstrip()}\n\n{numbered}\n\n\n{_END}\n"

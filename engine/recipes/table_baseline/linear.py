"""A weighted sum of the columns: ridge regression in closed form, or logistic regression."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
MOST_ROWS = 50_000  # that a logistic regression learns from


class Linear(nn.Module):
    """Scores (rows, outputs) of standardised columns; its weights are all that is saved."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, columns: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(columns, outputs, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(outputs, dtype=torch.float64))

    def scores(self, x: np.ndarray) -> np.ndarray:
        return x @ self.weight.numpy() + self.bias.numpy()

    def set(self, weight: np.ndarray, bias: np.ndarray) -> Linear:
        self.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        self.bias.copy_(torch.from_numpy(np.ascontiguousarray(bias)))
        return self


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> Linear:
    """Least squares with a penalty on the weights."""
    centre, mean = x.mean(0), float(y.mean())
    moved = x - centre
    weight = np.linalg.solve(moved.T @ moved + penalty * np.eye(x.shape[1]), moved.T @ (y - mean))
    return Linear(x.shape[1], 1).set(weight[:, None], np.array([mean - centre @ weight]))


def logistic(x: np.ndarray, y: np.ndarray, classes: int) -> Linear:
    """Logistic regression with the usual penalty; of two classes one score, that of the second."""
    from sklearn.linear_model import LogisticRegression

    step = max(1, len(x) // MOST_ROWS)
    x, y = x[::step], y[::step].astype(int)
    found = np.unique(y)
    outputs = classes if classes > 2 else 1
    if len(found) < 2:
        bias = np.where(np.arange(classes) == found[0], 0.0, -10.0)
        return Linear(x.shape[1], outputs).set(
            np.zeros((x.shape[1], outputs)), bias if outputs > 1 else bias[1:] - bias[:1]
        )
    model = LogisticRegression(max_iter=200, tol=1e-4).fit(x, y)
    if outputs == 1:
        return Linear(x.shape[1], 1).set(model.coef_.T, model.intercept_)
    weight, bias = np.zeros((x.shape[1], classes)), np.full(classes, -10.0)
    coefficients, intercept = model.coef_, model.intercept_
    if len(found) == 2:  # two of more classes are there: sklearn gives the score of the second
        coefficients, intercept = (
            np.vstack([np.zeros_like(coefficients), coefficients]),
            np.array([0.0, float(intercept[0])]),
        )
    weight[:, found], bias[found] = coefficients.T, intercept
    return Linear(x.shape[1], classes).set(weight, bias)


def fit(x: np.ndarray, y: np.ndarray, folds: list[tuple[np.ndarray, np.ndarray]], classification: bool,
        classes: int) -> tuple[Linear, np.ndarray]:  # fmt: skip
    """The model of all rows, and what models of the other folds say of each held-out row (NaN where none is)."""
    outputs = classes if classification and classes > 2 else 1
    if classification:
        held = np.full((len(x), outputs), np.nan)
        for learned, left in folds:
            held[left] = logistic(x[learned], y[learned], classes).scores(x[left])
        return logistic(x, y, classes), held
    tried = []
    for penalty in PENALTIES:
        held = np.full((len(x), 1), np.nan)
        for learned, left in folds:
            held[left] = ridge(x[learned], y[learned], penalty).scores(x[left])
        tried.append((float(np.nanmean(np.abs(held[:, 0] - y))), penalty, held))
    _, penalty, held = min(tried, key=lambda one: one[0])
    return ridge(x, y, penalty), held

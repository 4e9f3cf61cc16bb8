"""Figures of forecasts, and how wide intervals must be."""

from __future__ import annotations

import numpy as np

LEVELS = (80, 95)
ENOUGH = 40  # errors at one step of the horizon, from which on they are counted by themselves


def errors(said: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of (windows, horizon) values in deviations of the series."""
    return {"mse": float(((said - truth) ** 2).mean()), "mae": float(np.abs(said - truth).mean())}


def smape(said: np.ndarray, truth: np.ndarray) -> float:
    """The mean of errors relative to the mean of both sizes, 0 to 2."""
    sizes = np.abs(said) + np.abs(truth)
    return float(np.divide(2 * np.abs(said - truth), sizes, out=np.zeros_like(sizes), where=sizes > 0).mean())


def widths(missed: np.ndarray) -> np.ndarray:
    """How far each interval of LEVELS reaches up and down, (levels, horizon), from (windows, horizon) errors: the
    quantile that split conformal prediction takes. With few windows, the steps of the horizon share their errors, each
    in proportion to its mean error."""
    windows, horizon = missed.shape
    size = np.abs(missed)
    if windows >= ENOUGH:
        return np.array([np.quantile(size, _level(level, windows), axis=0, method="higher") for level in LEVELS])
    means = size.mean(0)
    reach = max(1, horizon // 8)
    padded = np.pad(means, reach, mode="edge")
    smooth = np.convolve(padded, np.ones(2 * reach + 1) / (2 * reach + 1), mode="valid")
    smooth = np.maximum.accumulate(np.maximum(smooth, 1e-12))  # what lies further ahead is no surer
    return np.array([np.quantile(size / smooth, _level(level, size.size)) * smooth for level in LEVELS])


def _level(level: int, count: int) -> float:
    return min(1.0, float(np.ceil((count + 1) * level / 100) / count))

"""How wide intervals are: as the errors of the back-test were, in proportion to the errors that were seen last.

A series that is calm in one season and restless in another has errors to match, and widths that fit the one are wrong
for the other. So each forecast's widths go by how far the latest forecasts were off whose truth is known by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.recipes.forecast.figures import ENOUGH, LEVELS, widths

LATEST = 3  # horizons of forecasts that are looked at
LEAST = 0.05  # of the usual error counts always: a stretch that stands still is no promise


@dataclass(frozen=True)
class Bands:
    """Widths of each series (series, levels, horizon), in its deviations, where the latest errors are the usual ones;
    `usual` (series,) are these, NaN where widths are always the same."""

    widths: np.ndarray
    usual: np.ndarray

    @classmethod
    def unknown(cls, series: int, horizon: int) -> Bands:
        return cls(np.zeros((series, len(LEVELS), horizon)), np.full(series, np.nan))

    def reach(self, number: int, latest: np.ndarray) -> np.ndarray:
        """How far intervals of a series reach up and down, (levels, windows, horizon), where the latest errors are
        (windows,), NaN where none is known."""
        return self.widths[number][:, None] * share(latest, self.usual[number])[None, :, None]


def settle(missed: Sequence[np.ndarray], origins: Sequence[np.ndarray]) -> Bands:
    """Of the errors (windows, horizon) of a back-test and where its forecasts begin (windows,), series by series."""
    latest = [latest_errors(errors, begins, begins) for errors, begins in zip(missed, origins, strict=True)]
    known = [~np.isnan(one) for one in latest]
    if min(int(one.sum()) for one in known) < 2 * ENOUGH:
        pooled = widths(np.concatenate(missed)) if min(map(len, missed)) < ENOUGH else None
        made = [widths(errors) if pooled is None else pooled for errors in missed]
        return Bands(np.stack(made), np.full(len(made), np.nan))
    usual = np.array([max(float(np.median(one[there])), 1e-12) for one, there in zip(latest, known, strict=True)])
    even = [
        errors[there] / share(one[there], its)[:, None]
        for errors, one, there, its in zip(missed, latest, known, usual, strict=True)
    ]
    return Bands(np.stack([widths(errors) for errors in even]), usual)


def latest_errors(errors: np.ndarray, begins: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """For each origin the mean size of the errors (windows, horizon) of forecasts that began at `begins`, one a step,
    and ended before it; NaN where too few did."""
    if not len(begins):
        return np.full(len(origins), np.nan)
    horizon = errors.shape[1]
    sums = np.concatenate([[0.0], np.cumsum(np.abs(errors).mean(1))])
    after = np.clip(origins - horizon - begins[0] + 1, 0, len(begins))
    first = np.maximum(0, origins - horizon - begins[0] + 1 - LATEST * horizon)
    count = after - first
    means = np.divide(sums[after] - sums[np.minimum(first, after)], count, out=np.zeros(len(count)), where=count > 0)
    return np.where(count >= horizon, means, np.nan)


def share(latest: np.ndarray, usual: float) -> np.ndarray:
    """How large errors are beside the usual ones; 1 where that is not known."""
    found = LEAST + (1 - LEAST) * latest / usual
    return np.where(np.isnan(found), 1.0, found)

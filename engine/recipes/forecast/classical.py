"""Methods that need no training: each looks at the recent past of one series and continues it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

RECENT = 600  # values that a model is fitted to, or six seasons
LONG_SEASON = 24  # above, a season is taken off before the fit: one state a step would be too many


def recent(values: np.ndarray, season: int) -> np.ndarray:
    """What `ets` and `arima` look at."""
    return values[-max(RECENT, 6 * season) :]


def naive(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last season over and over; the last value where there is none."""
    season = min(season, len(values))
    return np.resize(values[-season:], horizon) if season > 1 else np.full(horizon, values[-1])


def ets(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Exponential smoothing with a damped trend, and a season where there is one."""
    return rolled("ets", values, np.array([len(values)]), horizon, season)[0]


def arima(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """ARIMA(1, 1, 1) on the values without their season; with a short season, a seasonal part (0, 1, 1) instead."""
    return rolled("arima", values, np.array([len(values)]), horizon, season)[0]


METHODS = {"naive": naive, "ets": ets, "arima": arima}


def rolled(name: str, values: np.ndarray, origins: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """(origins, horizon) what `ets` or `arima` say comes after the values before each of the rising origins. One fit,
    to what lies before the first, serves all: for the others the model only takes in the values since.

    It is fitted on even ground: as logarithms where swings grow with the level, in deviations, without a season that
    it does not take. What can't be fitted, or runs away, is continued as `naive` does."""
    from threadpoolctl import threadpool_limits

    fit, longest_season = _FITS[name]
    made = np.stack([naive(values[:origin], horizon, season) for origin in origins])
    count = len(recent(values[: origins[0]], season))
    first = origins[0] - count
    whole = values[first : origins[-1]]
    # Values to come could have no logarithm: then none is taken, which says nothing of where they lie.
    logs = whole.min() > 0 and _grows_with_level(whole[:count], season)
    whole = np.log(whole) if logs else whole
    mean, deviation = whole[:count].mean(), whole[:count].std()
    if not np.ptp(whole[:count]) or count < 10 or (season > 1 and count < 2 * season + 5):
        return made
    even = (whole - mean) / deviation
    own_season = season if season <= longest_season else 1
    swing = np.zeros(len(even) + horizon)
    if season > own_season:
        swing = _swing(even[:count], season, len(swing))
    rest = even - swing[: len(even)]
    # Small matrices: more threads would only wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        try:
            ahead = fit(rest[:count], own_season, horizon)
        except _UNFIT:
            return made
        for place, after in enumerate(origins - first):
            try:
                said = ahead(rest[count:after])
            except _UNFIT:
                continue
            said = (said + swing[after : after + horizon]) * deviation + mean
            said = np.exp(np.clip(said, -700, 700)) if logs else said
            if not _wild(said, values[: origins[place]]):
                made[place] = said
    return made


Ahead = Callable[[np.ndarray], np.ndarray]  # what comes next, after these further values were taken in
_UNFIT = (ValueError, np.linalg.LinAlgError, IndexError, ZeroDivisionError)


def _smoothed(part: np.ndarray, season: int, horizon: int) -> Ahead:
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    kind = {"trend": "add", "damped_trend": True}
    kind |= {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    fitted = ExponentialSmoothing(part, initialization_method="estimated", **kind).fit(optimized=True)
    found = fitted.params
    begin = {"initial_level": found["initial_level"], "initial_trend": found["initial_trend"]}
    begin |= {"initial_seasonal": found["initial_seasons"]} if season > 1 else {}
    weights = {name: found[name] for name in ("smoothing_level", "smoothing_trend", "damping_trend")}
    weights |= {"smoothing_seasonal": found["smoothing_seasonal"]} if season > 1 else {}

    def ahead(more: np.ndarray) -> np.ndarray:
        if not len(more):
            return np.asarray(fitted.forecast(horizon))
        longer = ExponentialSmoothing(np.append(part, more), initialization_method="known", **begin, **kind)
        return np.asarray(longer.fit(optimized=False, **weights).forecast(horizon))

    return ahead


def _moving_average(part: np.ndarray, season: int, horizon: int) -> Ahead:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    seasonal = (0, 1, 1, season) if season > 1 else (0, 0, 0, 0)
    model = SARIMAX(part, order=(1, 1, 1), seasonal_order=seasonal, simple_differencing=False)
    fitted = model.fit(disp=False, maxiter=50)

    def ahead(more: np.ndarray) -> np.ndarray:
        return np.asarray((fitted.extend(more) if len(more) else fitted).forecast(horizon))

    return ahead


_FITS = {"ets": (_smoothed, LONG_SEASON), "arima": (_moving_average, 12)}  # with the longest season that each takes


def _wild(said: np.ndarray, past: np.ndarray) -> bool:
    span = np.ptp(past)
    return bool(not np.isfinite(said).all() or said.max() > past.max() + 5 * span or said.min() < past.min() - 5 * span)


def _swing(values: np.ndarray, season: int, count: int) -> np.ndarray:
    """The mean of each place of the season, around the mean of that season."""
    whole = values[len(values) % season :].reshape(-1, season)
    mean = (whole - whole.mean(1, keepdims=True)).mean(0)
    first = len(values) % season
    return mean[(np.arange(count) - first) % season]


def _grows_with_level(values: np.ndarray, season: int) -> bool:
    """Whether higher seasons swing more, so that their logarithms swing alike."""
    size = season if season > 1 else 10
    if values.min() <= 0 or len(values) < 4 * size:
        return False
    whole = values[len(values) % size :].reshape(-1, size)
    level, swing = whole.mean(1), whole.std(1)
    if not level.std() or not swing.std() or level.max() < 1.5 * level.min():
        return False
    return bool(np.corrcoef(level, swing)[0, 1] > 0.7)

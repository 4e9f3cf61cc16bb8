"""Methods that need no training: each looks at the recent past of one series and continues it."""

from __future__ import annotations

import warnings

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
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    def fit(part: np.ndarray, own_season: int) -> np.ndarray:
        model = ExponentialSmoothing(
            part,
            trend="add",
            damped_trend=True,
            seasonal="add" if own_season > 1 else None,
            seasonal_periods=own_season if own_season > 1 else None,
            initialization_method="estimated",
        )
        return np.asarray(model.fit(optimized=True).forecast(horizon))

    return _carefully(fit, values, horizon, season, own_season=season <= LONG_SEASON)


def arima(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """ARIMA(1, 1, 1) on the values without their season; with a short season, a seasonal part (0, 1, 1) instead."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    def fit(part: np.ndarray, own_season: int) -> np.ndarray:
        seasonal = (0, 1, 1, own_season) if own_season > 1 else (0, 0, 0, 0)
        model = SARIMAX(part, order=(1, 1, 1), seasonal_order=seasonal, simple_differencing=False)
        return np.asarray(model.fit(disp=False, maxiter=50).forecast(horizon))

    return _carefully(fit, values, horizon, season, own_season=season <= 12)


METHODS = {"naive": naive, "ets": ets, "arima": arima}


def _carefully(fit, values: np.ndarray, horizon: int, season: int, own_season: bool) -> np.ndarray:  # noqa: ANN001
    """Fit on even ground: as logarithms where swings grow with the level, in deviations, without a season that the
    model does not take. What can't be fitted, or runs away, is continued as `naive` does."""
    from threadpoolctl import threadpool_limits

    part = recent(values, season)
    logs = _grows_with_level(part, season)
    if logs:
        part = np.log(part)
    mean, deviation = part.mean(), part.std()
    if not deviation or len(part) < 10 or (season > 1 and len(part) < 2 * season + 5):
        return naive(values, horizon, season)
    even = (part - mean) / deviation
    swing = np.zeros(len(even) + horizon)
    if season > 1 and not own_season:
        swing = _swing(even, season, len(even) + horizon)
    try:
        # Small matrices: more threads would only wait for each other.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            made = fit(even - swing[: len(even)], season if own_season else 1)
    except (ValueError, np.linalg.LinAlgError, IndexError, ZeroDivisionError):
        return naive(values, horizon, season)
    made = (made + swing[len(even) :]) * deviation + mean
    if logs:
        made = np.exp(np.clip(made, -700, 700))
    span = np.ptp(values)
    wild = not np.isfinite(made).all() or made.max() > values.max() + 5 * span or made.min() < values.min() - 5 * span
    return naive(values, horizon, season) if wild else made


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

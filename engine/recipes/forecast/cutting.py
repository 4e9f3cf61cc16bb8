"""How series are divided by time, how far is forecast, and how far is looked back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data import bad_data
from engine.protocol import EngineError, FailureCode
from engine.recipes.forecast.config import ForecastConfig
from engine.recipes.forecast.series import Series, Step
from engine.task import Context


@dataclass(frozen=True)
class Cut:
    """Where the stretches of a series end: training, validation, and the whole."""

    train: int
    validation: int
    whole: int


def cut(count: int, config: ForecastConfig) -> Cut:
    """Where a series of this length is divided."""
    test = round(count * config.test_fraction)
    validation = round(count * config.validation_fraction)
    return Cut(count - test - validation, count - test, count)


def moving_and_still(series: list[Series], context: Context) -> tuple[list[Series], list[Series]]:
    """The series to learn from, and beside them those that never change: these are continued as they are, and would
    only dilute the figures and the intervals of the others. Where none changes, they are what there is."""
    still = [one for one in series if one.still]
    if still:
        names = ", ".join(f"'{one.name:.60}'" for one in still[:10]) + (" …" if len(still) > 10 else "")
        known = "One series never changes, and" if len(still) == 1 else f"{len(still):,} series never change, and each"
        context.log(f"{known} is continued with its value: {names}.")
    moving = [one for one in series if not one.still]
    return (moving, still) if moving else (still, [])


def choose_horizon(config: ForecastConfig, season: int, cuts: list[Cut]) -> int:
    """As configured, or one season, as far as several forecasts fit into the validation stretch."""
    if config.horizon != "auto":
        return config.horizon
    room = max(one.validation - one.train for one in cuts)
    if config.test_fraction:
        room = min(room, max(one.whole - one.validation for one in cuts))
    return max(1, min(season if season > 1 else 12, 96, room // 2))


def long_enough(
    series: list[Series], cuts: list[Cut], horizon: int, context: Context
) -> tuple[list[Series], list[Cut]]:
    """Without series whose stretches hold no forecast. EngineError BAD_DATA when none is left."""
    kept: list[tuple[Series, Cut]] = []
    for one, its in zip(series, cuts, strict=True):
        test = its.whole - its.validation
        if len(series) > 1 and _begins_still(one, its):
            context.log(f"Series '{one.name:.60}' is left out: it never changes in the stretch that is learned from.")
        elif its.validation - its.train >= horizon and (test == 0 or test >= horizon) and its.train >= horizon + 4:
            kept.append((one, its))
        elif len(series) > 1:
            context.log(f"Series '{one.name:.60}' is left out: {its.whole:,} values are too few.")
    if not kept:
        if len(series) > 1 and all(_begins_still(one, its) for one, its in zip(series, cuts, strict=True)):
            raise bad_data("No series ever changes in the stretch that is learned from.", "Choose another target.")
        longest = max(cuts, key=lambda one: one.whole)
        raise bad_data(
            f"The series is too short: of {longest.whole:,} values {longest.train:,} are to learn from, "
            f"{longest.validation - longest.train:,} for validation and {longest.whole - longest.validation:,} for the "
            f"test. A forecast of {horizon} needs {horizon + 4} to learn from, and {horizon} of each other part.",
            "Add earlier values" + (", or set a shorter horizon." if horizon > 1 else "."),
        )
    return [one for one, _ in kept], [its for _, its in kept]


def choose_history(config: ForecastConfig, season: int, horizon: int, step: Step, cuts: list[Cut]) -> int:
    """As configured, or two horizons, four seasons or two weeks of hours, as far as there is data to learn from."""
    longest = max(one.train for one in cuts)
    if config.history != "auto":
        if config.history + horizon > longest:
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"A history of {config.history} and a horizon of {horizon} do not fit into the {longest:,} values of "
                "the training stretch.",
                "Set a shorter history, or leave it at 'auto'.",
            )
        return config.history
    weeks = [2 * one for one in step.seasons if season > 1 and one > season and 2 * one <= 700]
    wanted = max(2 * horizon, 4 * season, *weeks, 16)
    return max(1, min(wanted, longest // 4, longest - horizon))


def mean_of(one: Series, its: Cut) -> float:
    """Of the training stretch; without the rounding of a mean where the series never changes."""
    return float(one.values[0] if one.still else one.values[: its.train].mean())


def deviation_of(one: Series, its: Cut) -> float:
    """Of the training stretch; 1 where the series never changes. EngineError BAD_DATA when it only does later."""
    train = one.values[: its.train]
    if one.still:
        return 1.0
    if not np.ptp(train):
        raise bad_data(
            f"'{one.name}' never changes in the stretch that is learned from.",
            "Choose another target, or leave this series out.",
        )
    return float(train.std())


def _begins_still(one: Series, its: Cut) -> bool:
    """Whether a series changes only after the stretch that is learned from."""
    return float(np.ptp(one.values[: its.train])) == 0 and not one.still

"""What a forecast shows: figures beside the season repeated, the last forecasts with bands, errors by step ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.recipes.forecast import figures, rolling
from engine.report import MAX_ROWS, AnyBlock, Band, Figure, Figures, Line, Lines, Table, thin

if TYPE_CHECKING:
    from engine.recipes.forecast.trainer import ForecastTask

NAMES = {
    "naive": "Season repeated", "ets": "Exponential smoothing", "arima": "ARIMA", "linear": "Linear model",
    "network": "Linear model and network",
}  # fmt: skip
DRAWN = 4  # series whose last forecast is drawn


def blocks(task: ForecastTask, found: dict[str, float]) -> list[AnyBlock]:
    """The report after the final evaluation; `found` are its metrics."""
    part = "test" if task.config.test_fraction else "validation"
    made: list[AnyBlock] = [_figures(task, part, found), _candidates(task)]
    made += [_last(task, part, number) for number in range(min(DRAWN, len(task.series)))]
    made.append(_by_step(task, part))
    if len(task.series) > 1:
        made.append(_by_series(task, part))
    return made


def _figures(task: ForecastTask, part: str, found: dict[str, float]) -> Figures:
    prefix = "baseline/test_" if part == "test" else "baseline/"
    windows = sum(len(task.origins_of(part, task.chosen, number)) for number in range(len(task.series)))
    shown = [
        Figure(name="Mean absolute error", value=found[f"{part}/mae"], baseline=found[f"{prefix}mae"], better="lower"),
        Figure(name="Mean squared error", value=found[f"{part}/mse"], baseline=found[f"{prefix}mse"], better="lower"),
    ]
    if f"{part}/mase" in found:
        shown.append(
            Figure(name="Error beside one season's change (MASE)", value=found[f"{part}/mase"], better="lower")
        )
        shown.append(Figure(name="Relative error (sMAPE, 0 to 2)", value=found[f"{part}/smape"], better="lower"))
    for level in figures.LEVELS:
        if f"{part}/coverage_{level}" in found:
            shown.append(Figure(name=f"Inside of the {level} % interval", value=found[f"{part}/coverage_{level}"]))
    honest = "looked at once, after the choice" if part == "test" else "by which the candidate was chosen too"
    return Figures(
        title=f"{NAMES[task.chosen]} on the {part} stretch ({windows:,} forecasts)",
        note=f"In deviations of the training stretch. The baseline repeats the last season. The {part} stretch was "
        f"{honest}.",
        figures=shown,
    )


def _candidates(task: ForecastTask) -> Table:
    rows = sorted(task.table, key=lambda row: float(row[1] or 0))
    count = rows[0][3] if rows else 0
    note = f"The same {count:,} rolling forecasts by each; the lowest mean absolute error is used."
    if len(task.back_test):
        note += (
            f" Up to {rolling.WINDOWS} of each series; exponential smoothing and ARIMA are fitted up to {rolling.FITS} "
            "times for them, and take in the values between."
        )
    return Table(
        title="Candidates, validation stretch",
        note=note,
        columns=["Candidate", "Mean absolute error", "Mean squared error", "Forecasts"],
        rows=rows,
    )


def _last(task: ForecastTask, part: str, number: int) -> Lines:
    said, truth = task.said_of(part, task.chosen, number)
    origin = int(task.origins_of(part, task.chosen, number)[-1])
    horizon = task.shape.horizon
    before = min(origin, max(2 * horizon, 2 * task.season, 24), 1000)
    past = task.series[number].values[origin - before : origin]
    middle = task.in_units(number, said[-1])
    ahead: list[None] = [None] * before
    places = thin(before + horizon)

    def some(values: np.ndarray | list) -> list[float | None]:
        whole = [None if value is None else float(value) for value in values]
        return [whole[place] for place in places]

    bands = []
    reaches = task.reach(part, task.chosen, number)[:, -1]
    for level, reach in reversed(list(zip(figures.LEVELS, reaches, strict=True))):
        wide = reach * task.deviations[number]
        bands.append(
            Band(name=f"{level} %", low=some([*ahead, *(middle - wide)]), high=some([*ahead, *(middle + wide)]))
        )
    return Lines(
        title=f"Last forecast of {task.series[number].name:.200}",
        note=f"The last one on the {part} stretch, with the intervals that validation gave.",
        x=[float(place - before + 1) for place in places],
        x_label=f"Steps of {task.season_step.words}",
        y_label=task.series[number].name[:200],
        lines=[
            Line(name="Actual", values=some([*past, *task.in_units(number, truth[-1])])),
            Line(name="Forecast", values=some([*ahead, *middle])),
        ],
        bands=bands,
    )


def _by_step(task: ForecastTask, part: str) -> Lines:
    said, truth = task.said(part, task.chosen)
    origins = [task.origins_of(part, task.chosen, number) for number in range(len(task.series))]
    simple, _ = task.said(part, "naive", origins)
    places = thin(task.shape.horizon)
    return Lines(
        title=f"Error by step ahead, {part} stretch",
        note="Mean absolute error, in deviations of the training stretch.",
        x=[float(place + 1) for place in places],
        x_label="Steps ahead",
        y_label="Mean absolute error",
        lines=[
            Line(name=NAMES[task.chosen], values=np.abs(said - truth).mean(0)[places].tolist()),
            Line(name=NAMES["naive"], values=np.abs(simple - truth).mean(0)[places].tolist()),
        ],
    )


def _by_series(task: ForecastTask, part: str) -> Table:
    rows: list[list[float | str | None]] = []
    for number, one in enumerate(task.series[:MAX_ROWS]):
        said, truth = task.said_of(part, task.chosen, number)
        if len(said):
            error = float(np.abs(said - truth).mean())
            rows.append([one.name[:300], error * task.deviations[number], error, len(said)])
    return Table(
        title=f"By series, {part} stretch",
        note="The mean absolute error in the series' own unit, and in its deviations.",
        columns=["Series", "Error", "Error in deviations", "Forecasts"],
        rows=rows,
    )

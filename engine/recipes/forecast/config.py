"""Settings of forecast."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config import (
    Auto,
    Precision,
    RecipeConfig,
    check_shares,
    deterministic_setting,
    precision_setting,
    setting,
)


class ForecastConfig(RecipeConfig):
    """Continues one or more series of numbers: demand by day, temperature by hour, sales by month and shop. Use it when
    a value follows from its own past; where it follows from other columns of its row use table-baseline.

    Tables need a row for each moment (and series), with a column of times or in order of time. Gaps are filled by
    straight lines, a few irregular times are put in order; where too much is missing it refuses and says why.
    Candidates are the last season repeated, exponential smoothing, ARIMA, a linear model of the recent past, and a
    small network beside it. Each learns from the first stretch of time, is judged by rolling forecasts on the second,
    and the best one is looked at once on the third, the latest. Nothing is shuffled, and a version's split by files is
    not used. Figures mse and mae are in deviations of each series' first stretch, so that series can be averaged.
    Intervals come from the errors on the second stretch (split conformal), and widen and narrow with the errors of the
    latest forecasts, where there are enough of them; their coverage on the third is reported.

    A series that never changes is continued with its value, and takes no part in the figures of the others. It knows
    no holidays and no outside influences, and sees one series at a time.
    """

    target: str = setting(
        "auto",
        "Target columns",
        "What is continued: a column, several separated by commas, or 'all' columns of numbers. Auto: the last column "
        "of numbers.",
        "Data",
        columns="commas",
    )
    time: str = setting(
        "auto",
        "Time column",
        "When each row was. Auto: the first column of dates; without one, rows follow each other evenly.",
        "Data",
        columns="one",
    )
    series: str = setting(
        "",
        "Series column",
        "Names the series of each row, when the table holds several below each other: shop, machine, station.",
        "Data",
        columns="one",
    )
    horizon: Auto | Annotated[int, Field(ge=1, le=2000)] = setting(
        "auto",
        "Horizon",
        "Steps that are forecast. Auto: one season, at most 96. Set it to what you decide ahead for.",
    )
    history: Auto | Annotated[int, Field(ge=1, le=5000)] = setting(
        "auto",
        "History",
        "Steps that a forecast looks back. Auto: two horizons, four seasons or two weeks of hours, as far as there is "
        "data.",
    )
    season: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Season",
        "Steps after which things repeat: 24 for hours of a day, 12 for months of a year, 1 for none. Auto: by the "
        "distance of the times and the series' likeness to its own past.",
    )
    validation_fraction: float = setting(
        0.2,
        "Validation share",
        "Share of each series, before the test, by which the best candidate is chosen and intervals are measured.",
        "Data",
        gt=0,
        le=0.5,
    )
    test_fraction: float = setting(
        0.2,
        "Test share",
        "The latest share of each series, which is looked at once. 0 leaves it out, and nothing honest is said of "
        "intervals.",
        "Data",
        ge=0,
        le=0.5,
    )
    candidates: Annotated[list[Literal["naive", "ets", "arima", "linear", "network"]], Field(min_length=1)] = setting(
        ["naive", "ets", "arima", "linear", "network"],
        "Candidates",
        "Methods that are tried. Leave out those that take too long.",
        "Model",
    )
    network_steps: int = setting(
        600,
        "Steps of the network",
        "Updates of the small network; the best state on the validation stretch is kept.",
        "Model",
        ge=10,
        le=100_000,
    )
    width: int = setting(128, "Width of the network", "Units of its hidden layers.", "Model", ge=4, le=4096)
    batch_size: int = setting(128, "Batch size", "Windows of a step of the network.", "Advanced", ge=2, le=65_536)
    learning_rate: float = setting(
        1e-3, "Learning rate", "Highest size of an update of the network.", "Advanced", gt=0, le=1
    )
    dropout: float = setting(0.2, "Dropout", "Share of the network's units left out at random.", "Advanced", ge=0, lt=1)
    weight_decay: float = setting(
        0.05, "Weight decay", "Pulls the network's weights towards zero.", "Advanced", ge=0, le=10
    )
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()

    @model_validator(mode="after")
    def something_is_learned(self) -> Self:
        check_shares(self.validation_fraction, self.test_fraction)
        return self

    @model_validator(mode="after")
    def columns_have_one_part(self) -> Self:
        if self.series and self.series in (self.target, self.time):
            other = "continued" if self.series == self.target else "the time column"
            raise ValueError(f"'{self.series}' names the series and is {other} too: name another column there.")
        return self

"""Settings of anomaly."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config import Auto, RecipeConfig, check_shares, setting


class AnomalyConfig(RecipeConfig):
    """Finds what is unusual in columns of numbers: a sensor that drifts, a service that slows down, a reading that
    can't be. Use it where most of the data is normal; the training data may hold a few anomalies.

    With a column of times, each row is compared with the rows before it only, so that it works on what comes in;
    without one, each row stands for itself. Candidates are the distance from the recent mean, from the same place of
    earlier seasons, the liveliness of changes, all of these together, and an isolation forest on them. Series are
    divided by time: the first stretch is learned from; on the second the threshold is set at the false alarm rate, and
    the candidate chosen; the latest is only looked at. Without labels the choice is made by spikes, shifts and
    disturbances that are put into copies of the second stretch: the candidate that finds most of them above its
    threshold is used. With a label column it is the average precision on the second stretch.

    It does not say what causes an anomaly, and it gets used to what lasts.
    """

    columns: Auto | Annotated[list[str], Field(min_length=1, max_length=200)] = setting(
        "auto",
        "Columns",
        "Columns of numbers that are watched. Auto: all of them.",
        "Data",
        columns="list",
    )
    time: str = setting(
        "auto",
        "Time column",
        "When each row was. Auto: the first column of dates; without one, rows stand for themselves.",
        "Data",
        columns="one",
    )
    label: str = setting(
        "",
        "Label column",
        "Yes, or a number above 0, marks known anomalies: with it, precision and recall are told. It is never learned "
        "from.",
        "Data",
        columns="one",
    )
    false_alarm_rate: float = setting(
        0.001,
        "False alarm rate",
        "Share of normal rows that may be called anomalies; 0.001: one of a thousand. Lower it when alarms cost much.",
        gt=0,
        le=0.2,
    )
    quiet_rows: int = setting(
        100,
        "Quiet rows",
        "An event is told once: a row alarms only when its score is above those of so many rows before it. Set it to "
        "how long an event usually lasts.",
        ge=0,
        le=10_000,
    )
    window: int = setting(
        1000,
        "Window",
        "Rows before each row that say what is usual. Longer is steadier, shorter gets used to changes sooner.",
        "Model",
        ge=20,
        le=100_000,
    )
    season: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Season",
        "Rows after which things repeat, 1 for none. Auto: by the distance of the times and the series' likeness to "
        "its own past.",
        "Model",
    )
    candidate: Literal["auto", "level", "season", "changes", "together", "forest"] = setting(
        "auto", "Candidate", "How unusual is measured. Auto: as described above.", "Model"
    )
    trees: int = setting(100, "Trees", "Trees of the isolation forest.", "Model", ge=10, le=2000)
    validation_fraction: float = setting(
        0.25,
        "Validation share",
        "Share of the rows by which threshold and candidate are chosen.",
        "Data",
        gt=0,
        le=0.5,
    )
    test_fraction: float = setting(
        0.25,
        "Test share",
        "The latest share of the rows, which is only looked at. Where the version keeps files for the test, these "
        "are it.",
        "Data",
        ge=0,
        le=0.5,
    )

    @model_validator(mode="after")
    def something_is_learned(self) -> Self:
        check_shares(self.validation_fraction, self.test_fraction)
        return self

    @model_validator(mode="after")
    def labels_are_not_watched(self) -> Self:
        if self.label and self.columns != "auto" and self.label in self.columns:
            raise ValueError(f"'{self.label}' is the label column, which is never learned from: take it out.")
        return self

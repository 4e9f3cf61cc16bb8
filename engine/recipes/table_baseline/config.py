"""Settings of table-baseline."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config import Auto, RecipeConfig, check_shares, setting

Names = Annotated[list[str], Field(max_length=2000)]


class TableBaselineConfig(RecipeConfig):
    """Learns the value of one column from the other columns of the same row: what a machine should need, whether a
    customer leaves. Use it for tables whose rows stand for themselves; for values that follow from their own past use
    forecast.

    The model is boosted trees (LightGBM) or a linear one, whichever is better on rows of the training part that it did
    not learn from; both, and the trivial answer (the mean, the commonest class), are reported. Five models learn from
    four fifths of the training part each, the rest says when to stop; they answer together. The validation part is only
    looked at, so its figures are honest. A version with tables for training and for validation keeps to these; one
    table is divided by rows, by groups of rows, or by time. Classes keep their natural shares, so that probabilities
    can be believed; of two classes, the threshold between them is the one with the best F1 inside of the training part.

    It can't read long texts or pictures, and trees never answer beyond the range that they have seen (a linear model
    does).
    """

    target: str = setting(
        "auto",
        "Target column",
        "The column that is to be known from the others. Auto: the last one.",
        "Data",
        columns="one",
    )
    features: Auto | Names = setting(
        "auto",
        "Feature columns",
        "Columns that it learns from. Auto: all but the target, identifiers, constant columns, free texts, and columns "
        "that give the target away. Name them when some are known only afterwards.",
        "Data",
        columns="list",
    )
    exclude: Names = setting(
        [],
        "Leave out",
        "Columns that it must not learn from: what is not known yet when the answer is needed.",
        "Data",
        columns="list",
    )
    task: Auto | Literal["regression", "classification"] = setting(
        "auto",
        "Task",
        "Regression answers with a number, classification with a class. Auto: classes for texts, yes or no, and up to "
        "ten whole numbers.",
        "Data",
    )
    group: str = setting(
        "",
        "Group column",
        "Rows of one group stay in one part: set it to the machine, person or site when the model must work for new "
        "ones, and leave the time column empty. Empty: rows are independent.",
        "Data",
        columns="one",
    )
    time: str = setting(
        "",
        "Time column",
        "Divides the rows by time, the latest for validation: set it when the model will be used on later rows. "
        "Empty: at random.",
        "Data",
        columns="one",
    )
    validation_fraction: float = setting(
        0.2,
        "Validation share",
        "Share of the rows that it is judged by, when the version does not say which ones.",
        "Data",
        gt=0,
        lt=0.9,
    )
    test_fraction: float = setting(
        0.0,
        "Test share",
        "Share of the rows that is looked at once, at the end, when the version does not say which ones.",
        "Data",
        ge=0,
        lt=0.9,
    )
    model: Literal["auto", "boosted", "linear"] = setting(
        "auto",
        "Model",
        "Boosted: trees, for bends and interactions. Linear: a weighted sum, which goes on beyond the range of the "
        "data. Auto: the better one inside of the training part.",
    )
    rounds: Auto | Annotated[int, Field(ge=10, le=20_000)] = setting(
        "auto",
        "Most boosting rounds",
        "Trees at most; it stops earlier when held-out rows say so. Auto: 2,000, fewer for large tables. Raise it when "
        "the log says that it did not stop by itself.",
    )
    learning_rate: Auto | Annotated[float, Field(gt=0, le=1)] = setting(
        "auto",
        "Learning rate",
        "How much each tree changes. Auto: 0.05, more for large tables. Lower is a little better and takes longer.",
    )
    leaves: Auto | Annotated[int, Field(ge=2, le=1024)] = setting(
        "auto",
        "Leaves of a tree",
        "How finely a tree divides. Auto: by the number of rows. Lower it when training is much better than "
        "validation.",
        "Model",
    )
    rows_per_leaf: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Rows in a leaf, at least",
        "Auto: by the number of rows. Raise it for noisy targets.",
        "Model",
    )
    early_stopping_rounds: int = setting(
        100,
        "Patience (rounds)",
        "It stops when held-out rows got no better for so many trees.",
        "Advanced",
        ge=10,
        le=5000,
    )
    threshold: Auto | Annotated[float, Field(gt=0, lt=1)] = setting(
        "auto",
        "Threshold",
        "Of two classes: from which probability on the rarer one is named. Auto: the best F1 inside of the training "
        "part, 0.5 where it has fewer than ten rows of the rarer one. Lower it when missing one costs more than a "
        "false alarm.",
        "Advanced",
    )

    @model_validator(mode="after")
    def something_is_learned(self) -> Self:
        check_shares(self.validation_fraction, self.test_fraction)
        return self

    @model_validator(mode="after")
    def rows_are_divided_one_way(self) -> Self:
        if self.group and self.time:
            raise ValueError("Rows are divided by 'group' or by 'time', not by both: leave one of the two empty.")
        return self

    @model_validator(mode="after")
    def columns_have_one_part(self) -> Self:
        if self.features != "auto" and (both := [name for name in self.exclude if name in self.features]):
            raise ValueError(f"'{both[0]}' is among the feature columns and to be left out: keep it in one of the two.")
        named = [] if self.features == "auto" else self.features
        if self.target != "auto" and self.target in (self.group, self.time, *named):
            raise ValueError(f"'{self.target}' is the target column and can't be anything else: name another there.")
        return self

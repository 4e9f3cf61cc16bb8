"""What each column is for: the target, the features, and those left out with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.data import bad_data
from engine.protocol import EngineError, FailureCode
from engine.recipes.table_baseline.config import TableBaselineConfig
from engine.tables import NUMERIC, Table, no_column

FEW = 10  # whole numbers of a target that count as classes
MAX_CLASSES = 100
IDENTIFIER = re.compile(r"(^|[\W_])(id|uid|uuid|guid|udi|key|nr|no|number|index|row)($|[\W_])", re.IGNORECASE)
LEAK = 0.9999  # share of the target that one column explains alone, from which on it is no driver but the target
SMALL_SET = 30  # rows, below which nothing is suspected by its values
FLAG_ROWS = 20  # rows that a flag marks before it is suspected


@dataclass(frozen=True)
class Roles:
    """The columns of a task, and the target of each row: its value, or its class number."""

    target: str
    features: list[str]
    classification: bool
    classes: list[str]
    y: np.ndarray  # (rows,) float64


def names_checked(table: Table, config: TableBaselineConfig) -> str:
    """The target column; EngineError BAD_CONFIG when a setting names a column that is not there."""
    kinds = table.kinds
    target = list(kinds)[-1] if config.target == "auto" else config.target
    named = {"target": [target], "exclude": config.exclude, "group": [config.group], "time": [config.time]}
    named["features"] = [] if config.features == "auto" else list(config.features)
    for setting, names in named.items():
        for name in names:
            if name and name not in kinds:
                raise no_column(name, kinds, setting)
    if target in named["features"]:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"'{target}' is the target and can't be a feature too.",
            "Take it out of the features, or choose another target.",
        )
    for setting, name in (("group", config.group), ("time", config.time)):
        if name == target:
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"'{target}' is the target, and the setting '{setting}' names it too.",
                "Name another column there, or leave it empty.",
            )
    if config.time and kinds[config.time] not in ("date", "whole", "number"):
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The time column '{config.time}' holds neither dates nor numbers.",
            "Choose a column of dates, or import the table again with this column as a date.",
        )
    return target


def with_target(table: Table, target: str, log: Callable[[str], None]) -> Table:
    """The rows that have a target; EngineError BAD_DATA when there is none."""
    values = table.columns[target]
    there = present(values)
    if not there.any():
        raise bad_data(f"The target column '{target}' is empty.", "Choose another target column.")
    if not there.all():
        log(f"{int((~there).sum()):,} rows without a value in '{target}' are left out.")
        table = table.taken(there)
    return table


def is_classification(table: Table, target: str, config: TableBaselineConfig) -> bool:
    """Whether the target names classes; EngineError when it can be no number, or a date."""
    kind, values = table.kinds[target], table.columns[target]
    if kind == "date":
        raise bad_data(
            f"The target '{target}' holds dates, which can't be learned.",
            "Choose a column of numbers or classes, or make one of the dates (days until …).",
        )
    if config.task == "regression" and kind not in NUMERIC:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The target '{target}' holds texts, so it can't be a number.",
            "Set the task to 'auto' or 'classification', or choose another target.",
        )
    if config.task != "auto":
        return config.task == "classification"
    if kind in ("whole", "number"):
        distinct = np.unique(values)
        if len(values) < FEW:
            return False
        return len(distinct) <= (FEW if kind == "whole" else 2) and bool((distinct == distinct.round()).all())
    return True


def class_names(table: Table, target: str) -> np.ndarray:
    """The class of each row, as a text."""
    values = table.columns[target]
    if table.kinds[target] == "yes_no":
        return np.where(values > 0, "yes", "no").astype(object)
    if table.kinds[target] in NUMERIC:
        return np.array([str(int(v)) if float(v).is_integer() else repr(float(v)) for v in values], dtype=object)
    return values


def check_classes(names: np.ndarray, target: str) -> list[str]:
    """The classes in their order; EngineError BAD_DATA when there are too few or too many."""
    found = sorted(set(names), key=_in_order)
    if len(found) < 2:
        raise bad_data(
            f"All rows say '{found[0]!s:.60}' in the target column '{target}': there is nothing to learn.",
            "Add rows of another class, or choose another target.",
        )
    if len(found) > MAX_CLASSES or len(found) > len(names) / 2:
        raise bad_data(
            f"The target column '{target}' holds {len(found):,} different values in {len(names):,} rows: "
            "too many to be classes.",
            "Choose a column with fewer values, or one of numbers.",
        )
    return found


def _in_order(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def choose_features(
    table: Table, train: np.ndarray, y: np.ndarray, target: str, classification: bool, config: TableBaselineConfig,
    log: Callable[[str], None],
) -> list[str]:  # fmt: skip
    """The columns to learn from, judged by the training rows; each that is left out is told with the reason."""
    chosen = config.features != "auto"
    names = list(config.features) if chosen else [name for name in table.kinds if name != target]
    kept: list[str] = []
    for name in dict.fromkeys(names):
        if name in config.exclude:
            continue
        values = table.columns[name][train]
        reason = _useless(values)
        if not reason and not chosen:
            reason = (
                _free(values, table.kinds[name])
                or _unfit(name, values, table.kinds[name], config)
                or _leak(values, table.kinds[name], y[train], classification)
            )
        if reason:
            log(f"Column '{name}' is left out: {reason}.")
            continue
        kept.append(name)
        if chosen and _free(values, table.kinds[name]):
            log(f"Column '{name}' is used as it is named, though {_free(values, table.kinds[name])}.", "warning")
        if not chosen and classification and (rows := _flag(values, y[train])):
            log(
                f"Column '{name}' marks {rows:,} rows, and all of them are of one class. If it is known only after "
                "the fact, leave it out (setting 'exclude').",
                "warning",
            )
    if not kept:
        raise bad_data(
            f"No column is left to learn '{target}' from.",
            "Add columns that vary with the target; the log says why each column was left out. Columns that are named "
            "in the features are kept unless they are constant.",
        )
    return kept


def _useless(values: np.ndarray) -> str:
    """Why nothing can be learned from a column, even if it is named."""
    there = values[present(values)]
    if not len(there):
        return "it is empty"
    if len(there) == len(values) and (there == there[0]).all():
        return "it says the same in every row"
    return ""


def _free(values: np.ndarray, kind: str) -> str:
    there = values[present(values)]
    if kind in ("text", "category") and len(set(there)) > 0.5 * len(there) and len(there) > 20:
        return "its texts are nearly all different (an identifier, or free text)"
    return ""


def _unfit(name: str, values: np.ndarray, kind: str, config: TableBaselineConfig) -> str:
    if name == config.group:
        return "it names the groups, and the model must work for new ones"
    there = values[present(values)]
    if kind == "whole" and len(there) >= SMALL_SET and len(np.unique(there)) == len(there):
        counted = there.max() - there.min() < 1.6 * len(there) and (np.diff(there) > 0).all()
        if counted or IDENTIFIER.search(name):
            return "it numbers the rows (an identifier)"
    return ""


def _leak(values: np.ndarray, kind: str, y: np.ndarray, classification: bool) -> str:
    """Why a column can't be a driver: it alone says what the target is, for nearly every row."""
    if len(y) < SMALL_SET or kind == "date" or len(np.unique(y)) < 2:
        return ""
    there = present(values)
    if there.mean() < 0.5:
        return ""
    values, y = values[there], y[there]
    if kind in NUMERIC and not classification:
        slope = np.corrcoef(values, y)[0, 1] if values.std() and y.std() else 0.0
        return f"it alone gives the target away (correlation {slope:.5f})" if slope**2 >= LEAK else ""
    if classification and len(set(values.tolist())) <= max(20, len(np.unique(y))):
        right = sum(np.unique(y[values == value], return_counts=True)[1].max() for value in set(values.tolist()))
        return "it alone gives the class of every row away" if right >= LEAK * len(y) else ""
    return ""


def _flag(values: np.ndarray, y: np.ndarray) -> int:
    """Rows that a flag of two values marks, when all of them are of one of the rarer classes; else 0."""
    there = values[present(values)]
    distinct, counts = np.unique(there.astype(str), return_counts=True)
    if len(distinct) != 2 or len(there) != len(values):
        return 0
    marked = y[values.astype(str) == distinct[counts.argmin()]]
    if len(marked) < FLAG_ROWS or len(set(marked)) != 1:
        return 0
    return len(marked) if (y == marked[0]).mean() < 0.5 else 0


def present(values: np.ndarray) -> np.ndarray:
    """Where a column has a value."""
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    return ~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values)

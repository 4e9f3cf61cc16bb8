"""A version's figures as people read them: the few that tell most, each beside its baseline, then all in one table.

Recipes name figures as `part/quantity`. Those of simpler answers stand under `baseline/`: `baseline/accuracy` is of the
validation part, `baseline/test_mae` of the test part, and `baseline/linear_mae` is of a linear model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.catalogue import RECIPES

BASELINE = "baseline/"
LINEAR = "linear_"
# What tells most where a recipe names nothing; two of them stand in lists.
USUAL = ("accuracy", "macro_f1", "loss")
PARTS = {"train": "Training", "validation": "Validation", "test": "Test", "best": "Best", "use": "In use:"}
ORDER = ("validation", "test", "train")  # the parts as they are compared: validation is what every run has
MOST_HEADLINES = 4
# Quantities whose names are no words.
WORDS = {
    "mae": "mean absolute error", "mse": "mean squared error", "rmse": "root mean squared error", "r2": "R²",
    "mase": "scaled error (MASE)", "smape": "relative error (sMAPE)", "auc": "area under the ROC curve",
    "macro_f1": "macro F1", "f1": "F1", "coverage_80": "coverage of 80 % intervals",
    "coverage_95": "coverage of 95 % intervals", "checked_mse": "mean squared error, checked",
    "alarms_per_1000": "alarms of 1,000 rows", "anomalies_per_1000": "anomalies of 1,000 rows",
    "detected": "share of disturbances found", "confidence": "mean confidence", "latency_p50": "time to answer, median",
    "latency_p95": "time to answer, 95th percentile", "errors": "share that failed", "bias": "predicted less true",
}  # fmt: skip


# Which way a quantity gets better, where no recipe says so of it. What is in neither is better in no known way.
LOWER = frozenset({"loss", "perplexity", "mae", "mse", "rmse", "mase", "smape", "error", "checked_mse"})
HIGHER = frozenset(
    {
        "accuracy", "top5_accuracy", "macro_f1", "f1", "precision", "recall", "auc", "average_precision", "r2",
        "detected",
    }
)  # fmt: skip
HELD_OUT = ("validation", "test")  # parts that nothing was learned from


@dataclass(frozen=True)
class Row:
    """A figure of the model beside those of simpler answers; None where there is none."""

    name: str
    title: str
    value: float | None
    baseline: float | None = None
    linear: float | None = None


@dataclass(frozen=True)
class Shown:
    """`rows` are all figures; `linear` says whether a linear model was compared with."""

    headlines: list[Row]
    rows: list[Row]
    compared: bool
    linear: bool


def shown(metrics: Mapping[str, Any] | None, recipe: str = "") -> Shown:
    """The figures of a version or a job of this recipe."""
    known = metrics or {}
    rows = [_row(name, known, recipe) for name in ordered(own(known), recipe)]
    alone = _without_own(known)
    rows += [Row(name, title(name), None, known[name]) for name in alone]
    top = headlines(known, recipe)
    named = {row.name: row for row in rows}
    return Shown(
        headlines=[named[name] for name in top],
        rows=rows,
        compared=any(row.baseline is not None for row in rows),
        linear=any(row.linear is not None for row in rows),
    )


def headlines(names: Iterable[str], recipe: str = "", most: int = MOST_HEADLINES) -> list[str]:
    """The names of the few figures that tell most, best first; never a baseline's."""
    known = list(names)
    mine = own(known)
    told = RECIPES[recipe].tells if recipe in RECIPES else ()
    found = [_best_part(quantity, known) for quantity in dict.fromkeys((*told, *([] if told else USUAL)))]
    chosen = [name for name in found if name in mine]
    if chosen:
        return chosen[:most]
    goal = RECIPES[recipe].goal if recipe in RECIPES else ""
    rest = [name for name in ordered(mine, recipe) if not name.startswith("best/")]
    return sorted(rest, key=lambda name: name != goal)[:most]


def own(names: Iterable[str]) -> list[str]:
    """The figures of the model itself."""
    return [name for name in names if not name.startswith(BASELINE)]


def ordered(names: Iterable[str], recipe: str = "") -> list[str]:
    """Names of figures, those that tell most first; then by part and name."""
    told = (*(RECIPES[recipe].tells if recipe in RECIPES else ()), *USUAL)

    def place(name: str) -> tuple[int, int, str]:
        part, _, quantity = name.partition("/")
        rank = told.index(quantity) if quantity in told and part in ORDER[:2] else len(told)
        return rank, ORDER.index(part) if part in ORDER else len(ORDER), name

    return sorted(names, key=place)


def key_figure(names: Iterable[str], recipe: str) -> str:
    """The figure by which versions of a recipe are judged: its goal, or what tells most where the goal is not among
    these names; '' when there is nothing."""
    known = list(names)
    goal = RECIPES[recipe].goal if recipe in RECIPES else ""
    return goal if goal in known else next(iter(headlines(known, recipe, 1)), goal)


def higher_is_better(name: str, recipe: str = "") -> bool | None:
    """Whether more of a figure is better, as the recipe tells of its goal, in whatever part; None when nobody knows."""
    quantity = name.rpartition("/")[2]
    if recipe in RECIPES and quantity == RECIPES[recipe].goal.rpartition("/")[2]:
        return RECIPES[recipe].higher_is_better
    return True if quantity in HIGHER else False if quantity in LOWER else None


def sampled(name: str, recipe: str) -> bool:
    """Whether what a run of this recipe reports of a metric on the way is of a sample, and its result of all."""
    return recipe in RECIPES and RECIPES[recipe].samples_on_the_way and name.startswith("validation/")


def title(name: str) -> str:
    """'validation/macro_f1' as 'Validation macro F1'."""
    part, slash, quantity = name.partition("/")
    if not slash:
        words = WORDS.get(part, part)
    elif part == "best" and quantity != "step":
        words = f"Best {title(quantity)[:1].lower()}{title(quantity)[1:]} on the way"
    elif part in RECIPES:  # a figure of a recipe that has no parts of data
        words = f"{RECIPES[part].title}: {_quantity(quantity)}"
    else:
        words = f"{PARTS.get(part, part)} {_quantity(quantity)}"
    words = words.replace("_", " ").replace("/", " ").strip()
    return words[:1].upper() + words[1:]


def _quantity(name: str) -> str:
    for prefix in (LINEAR, "validation_", "test_"):
        if name.startswith(prefix):
            return f"{prefix.rstrip('_')} {_quantity(name.removeprefix(prefix))}"
    return WORDS.get(name, name)


def _row(name: str, metrics: Mapping[str, Any], recipe: str) -> Row:
    beside = _baselines(name)
    baseline = next((metrics[other] for other in beside if metrics.get(other) is not None), None)
    linear = metrics.get(f"{BASELINE}{LINEAR}{name.partition('/')[2]}") if name.startswith("validation/") else None
    words = f"{title(name)}, from a sample" if name.startswith("best/") and sampled(name[5:], recipe) else title(name)
    return Row(name, words, metrics[name], baseline, linear)


def _baselines(name: str) -> list[str]:
    """Where the baseline of a figure can stand."""
    part, _, quantity = name.partition("/")
    if part not in ("validation", "test"):
        return []
    return [f"{BASELINE}{part}_{quantity}", *([f"{BASELINE}{quantity}"] if part == "validation" else [])]


def _without_own(metrics: Mapping[str, Any]) -> list[str]:
    """Baselines that no figure of the model stands beside."""
    beside = {other for name in own(metrics) for other in _baselines(name)}
    beside |= {f"{BASELINE}{LINEAR}{name.partition('/')[2]}" for name in own(metrics) if name.startswith("validation/")}
    return sorted(name for name in metrics if name.startswith(BASELINE) and name not in beside)


def _best_part(quantity: str, names: list[str]) -> str:
    """The figure of this quantity that can be compared with a baseline, else of the part that tells most; '' if none.

    The test part goes first among equals: nothing was chosen by it."""
    there = [f"{part}/{quantity}" for part in ("test", "validation", "train") if f"{part}/{quantity}" in names]
    compared = [name for name in there if any(other in names for other in _baselines(name))]
    return next(iter(compared or there), "")

"""The figures that runs came to, side by side: the last of each metric, and the best one on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection

from engine.catalogue import RECIPES
from history.comparing.runs import Run, ended_well
from registry import figures as of_versions

Better = Literal["higher", "lower"]
PARTS = ("train", "validation", "test")
UNTOLD = {"train/learning_rate"}  # where a schedule ends says nothing of a run


@dataclass(frozen=True)
class Value:
    """A value, and the step at which it was reported where that is known. `value` None: not a finite number."""

    value: float | None
    step: int | None = None


@dataclass(frozen=True)
class Figure:
    """One metric of all runs, in their order; None where a run has none.

    `better` None: it is not known which is better, and nothing is marked. `best` is the best value on the way; where
    that is of a `sample`, it is no measure of the last one, which is of everything. `apart`: these runs were measured
    on different items, or not all of them in the same way, and none is marked.
    """

    name: str
    better: Better | None
    last: list[Value | None]
    best: list[Value | None]
    sample: bool = False
    apart: bool = False

    @property
    def title(self) -> str:
        words = of_versions.title(self.name)
        return f"{words}, from a sample" if self.sample and self.name.startswith("best/") else words

    @property
    def differs(self) -> bool:
        return len({value.value if value else None for value in self.last}) > 1

    @property
    def cells(self) -> list[tuple[Value | None, bool, Value | None, bool]]:
        """For each run: last value, whether it is the best of them, best value on the way, whether that is."""
        return list(zip(self.last, self.leaders, self.best, self.best_leaders, strict=True))

    @property
    def leaders(self) -> list[bool]:
        """Which runs have the best last value; none where all have the same, or nothing is known to be better."""
        return _leaders(self.last, None if self.apart else self.better)

    @property
    def best_leaders(self) -> list[bool]:
        return _leaders(self.best, None if self.apart or self.sample else self.better)


def better(name: str, recipes: Iterable[str]) -> Better | None:
    """Which values of a metric are better, as the recipes tell by their goal; a loss is better when lower.

    None where recipes disagree, and for losses of several: each has a loss of its own.
    """
    part, _, quantity = name.partition("/")
    known = set(recipes)
    if part not in PARTS or (quantity == "loss" and len(known) > 1):
        return None
    told = {_better(quantity, recipe) for recipe in known}
    return told.pop() if len(told) == 1 else None


def headline(recipes: Iterable[str]) -> str:
    """The metric that tells most of these runs: the goal of their recipe where they are of one."""
    goals = {RECIPES[recipe].goal for recipe in recipes if recipe in RECIPES}
    return goals.pop() if len(goals) == 1 else "validation/loss"


def figures(runs: Sequence[Run]) -> list[Figure]:
    """Every metric that a run ended with or reported, those that tell most first; one query for all runs."""
    recipes = {run.recipe for run in runs}
    curves = _ends([run.job.pk for run in runs if run.job], recipes)
    names = {name for run in runs for name in run.metrics} | {name for _, name in curves}
    found = []
    for name in by_weight(names - UNTOLD, recipes):
        seen = [curves.get((run.job.pk, name)) if run.job else None for run in runs]
        last = [_last(run, name, curve) for run, curve in zip(runs, seen, strict=True)]
        best = [curve[1] if curve else None for curve in seen]
        if any(last):
            sample = any(of_versions.sampled(name.removeprefix("best/"), recipe) for recipe in recipes)
            whole = {name in run.metrics and ended_well(run) for run, value in zip(runs, last, strict=True) if value}
            apart = on_other_items(runs) or (sample and len(whole) > 1)
            found.append(Figure(name, better(name, recipes), last, best, sample, apart))
    return found


def on_other_items(runs: Sequence[Run]) -> bool:
    """Whether runs that were trained on data were so on different data: their figures are of different items."""
    return len({run.data.content_hash for run in runs if run.data}) > 1


def by_weight(names: Iterable[str], recipes: Iterable[str]) -> list[str]:
    """The headline first, then what else tells most, then the rest by name."""
    known = set(recipes)
    first = headline(known)
    ordered = of_versions.ordered(names, next(iter(known)) if len(known) == 1 else "")
    return sorted(ordered, key=lambda name: name != first)


def _better(quantity: str, recipe: str) -> Better | None:
    kind = RECIPES.get(recipe)
    if kind and quantity == kind.goal.partition("/")[2]:
        return "higher" if kind.higher_is_better else "lower"
    return "lower" if quantity == "loss" else None


def _last(run: Run, name: str, curve: tuple[Value, Value | None] | None) -> Value | None:
    """What a completed run was judged by, else the last value that it reported."""
    kept: Any = run.metrics.get(name) if ended_well(run) else None
    if isinstance(kept, int | float):
        return Value(float(kept))
    if name in run.metrics and ended_well(run):
        return Value(None)
    return curve[0] if curve else None


def _ends(jobs: list[int], recipes: Iterable[str]) -> dict[tuple[int, str], tuple[Value, Value | None]]:
    """(job, metric) → last and best value of each curve."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT name FROM jobs_metricseries WHERE job_id = ANY(%s)", [jobs])
        told = [name for (name,) in cursor.fetchall() if name.partition("/")[0] in PARTS]
        ways = {name: better(name, recipes) for name in told}
        up = [name for name, way in ways.items() if way == "higher"]
        down = [name for name, way in ways.items() if way == "lower"]
        cursor.execute(_ENDS, [down, up, jobs, told])
        rows = cursor.fetchall()
    return {
        (job, name): (Value(value, step), Value(best[0], abs(int(best[1]))) if best else None)
        for job, name, step, value, best in rows
    }


def _leaders(values: Sequence[Value | None], way: Better | None) -> list[bool]:
    known = [value.value for value in values if value is not None and value.value is not None]
    if way is None or len(known) < 2 or len(set(known)) == 1:
        return [False] * len(values)
    top = max(known) if way == "higher" else min(known)
    return [value is not None and value.value == top for value in values]


# The last value by the key of the rows; the best one from the summaries, of metrics that have a better way alone.
# Arrays are compared from their first element on, so that the step comes along; the earliest of equals.
_ENDS = """
SELECT series.job_id, series.name, ending.step, ending.value,
    CASE WHEN series.name = ANY(%s) THEN (
        SELECT min(ARRAY[low, low_step]) FROM jobs_progresssummary WHERE series_id = series.id)
    WHEN series.name = ANY(%s) THEN (
        SELECT max(ARRAY[high, -high_step]) FROM jobs_progresssummary WHERE series_id = series.id) END
FROM jobs_metricseries AS series
CROSS JOIN LATERAL (
    SELECT step, value FROM jobs_progressrow WHERE series_id = series.id ORDER BY step DESC LIMIT 1) AS ending
WHERE series.job_id = ANY(%s) AND series.name = ANY(%s)
"""

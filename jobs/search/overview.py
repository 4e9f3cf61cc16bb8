"""Reading searches for pages and API: lists that need no query per row, pictures of what was tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, QuerySet

from engine.catalogue import RECIPES, config_class
from engine.report import Bars, Line, Lines
from jobs.models import Search, Trial

WIDTH, HEIGHT = 720.0, 260.0
TOP, BOTTOM, SIDE = 34.0, 28.0, 60.0
DRAWN = 300  # trials that are drawn as lines; the best ones of more


def listed() -> QuerySet[Search]:
    """Searches with what a list shows, in one query; see `with_counts`."""
    return Search.objects.select_related("owner", "best__job", "dataset_version__dataset", "version__model").defer(
        "owner__password"
    )


def best_first(search: Search, trials: Sequence[Trial]) -> list[Trial]:
    """Trials with a result by it, then the others as they were made."""
    judged = [trial for trial in trials if trial.value is not None]
    judged.sort(key=lambda trial: trial.value or 0.0, reverse=search.higher_is_better)
    return judged + [trial for trial in trials if trial.value is None]


def with_counts(searches: Sequence[Search]) -> Sequence[Search]:
    """Each gets `counts`, state → trials, in one query for all."""
    rows = (
        Trial.objects.filter(search__in=searches).order_by().values_list("search_id", "state").annotate(n=Count("id"))
    )
    found: dict[int, dict[str, int]] = {}
    for search_id, state, count in rows:
        found.setdefault(search_id, {})[state] = count
    for search in searches:
        search.counts = found.get(search.pk, {})
        search.made = sum(search.counts.values())
        search.percent = round(100 * (search.made - search.counts.get("running", 0)) / search.wanted)
    return searches


@dataclass(frozen=True)
class Tick:
    y: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A setting, or the metric, as an upright line."""

    name: str
    x: float
    ticks: list[Tick]


@dataclass(frozen=True)
class Thread:
    """A trial as a line through all axes; `share` is 0 for the best value and 1 for the worst."""

    trial: Trial
    points: str
    share: float
    best: bool


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates of the trials that have a value."""

    axes: list[Axis]
    threads: list[Thread]
    width: float = WIDTH
    height: float = HEIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def parallel(search: Search, trials: Sequence[Trial]) -> Parallel | None:
    """The picture; None while fewer than two trials have come to a value."""
    known = [trial for trial in trials if trial.value is not None]
    known.sort(key=lambda trial: trial.value or 0.0, reverse=search.higher_is_better)
    known = known[:DRAWN]
    if len(known) < 2:
        return None
    names = [*search.space, None]
    places = [SIDE + (WIDTH - 2 * SIDE) * number / (len(names) - 1) for number in range(len(names))]
    titles = {name: schema.get("title", name) for name, schema in properties(search.recipe).items()}
    values = [trial.value or 0.0 for trial in known]
    scales = [_scale(search.space[name]) if name else _plain(min(values), max(values)) for name in names]
    axes = [
        Axis(titles.get(name, name) if name else search.metric, x, [Tick(_y(share), text) for share, text in ticks])
        for name, x, (_, ticks) in zip(names, places, scales, strict=True)
    ]
    threads = []
    for rank, trial in enumerate(known):
        spots = [
            (x, _y(to_share(trial.params.get(name) if name else trial.value)))
            for name, x, (to_share, _) in zip(names, places, scales, strict=True)
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        threads.append(Thread(trial, line, rank / max(1, len(known) - 1), trial.pk == search.best_id))
    return Parallel(axes, threads[::-1])  # the best lie on top


def course(search: Search, trials: Sequence[Trial]) -> Lines | None:
    """The value of each trial and the best one so far."""
    done = [trial for trial in trials if trial.state == Trial.State.COMPLETED and trial.value is not None]
    if len(done) < 2:
        return None
    best: list[float | None] = []
    pick = max if search.higher_is_better else min
    for trial in done:
        value = trial.value or 0.0
        best.append(value if not best or best[-1] is None else pick(best[-1], value))
    return Lines(
        title="Course",
        note="Each trial that completed, and the best one so far.",
        x=[float(trial.number) for trial in done],
        x_label="Trial",
        y_label=search.metric,
        lines=[
            Line(name="Best so far", values=best),
            Line(name="Trial", values=[trial.value for trial in done], dots=True),
        ],
    )


def weights(search: Search) -> Bars | None:
    """Which settings made the difference."""
    if not search.importances:
        return None
    titles = {name: schema.get("title", name) for name, schema in properties(search.recipe).items()}
    named = sorted(search.importances.items(), key=lambda pair: -pair[1])
    return Bars(
        title="What mattered",
        note="The share of each setting in the differences between trials (fANOVA). More trials make it surer.",
        labels=[titles.get(name, name) for name, _ in named],
        values=[share for _, share in named],
    )


def properties(recipe: str) -> dict[str, dict[str, Any]]:
    """The settings of a recipe as JSON schema; none of a recipe that is not there any more."""
    return config_class(recipe).model_json_schema()["properties"] if recipe in RECIPES else {}


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _scale(where: dict[str, Any]) -> tuple[Any, list[tuple[float, str]]]:
    """From a value to its share of the axis, and ticks."""
    if "values" in where:
        values = where["values"]
        last = max(1, len(values) - 1)
        ticks = [(place / last, str(value)) for place, value in enumerate(values)]
        return lambda value: values.index(value) / last if value in values else 0.5, ticks
    low, high = where["low"], where["high"]
    if where["log"]:
        near, far = math.log(low), math.log(high)
        middle = math.exp((near + far) / 2)
        ticks = [(0.0, f"{low:g}"), (0.5, f"{middle:.2g}"), (1.0, f"{high:g}")]
        return lambda value: (math.log(value) - near) / (far - near), ticks
    return _plain(low, high)


def _plain(low: float, high: float) -> tuple[Any, list[tuple[float, str]]]:
    span = (high - low) or 1.0
    ticks = [(0.0, f"{low:.4g}"), (0.5, f"{(low + high) / 2:.4g}"), (1.0, f"{high:.4g}")]
    return lambda value: (value - low) / span, ticks

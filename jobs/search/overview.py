"""Reading searches for pages and API: lists that need no query per row, and what was tried as blocks to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, QuerySet

from engine.catalogue import RECIPES, config_class
from engine.report import Bars, Line, Lines
from jobs.models import Search, Trial
from registry import figures


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
        y_label=figures.title(search.metric),
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

"""How runs differ in what went in: settings, data, environment. What is equal everywhere is only counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic.fields import FieldInfo

from datasets.models import DatasetVersion
from engine.catalogue import RECIPES, config_class
from history.comparing.runs import Run, cost, took
from jobs.repeating import noted
from jobs.states import Status

ABSENT = object()  # where a run says nothing of it


@dataclass(frozen=True)
class Cell:
    """What one run says. `there` is False where it says nothing; `note` tells a default, or why nothing is said."""

    value: Any
    there: bool = True
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One thing that differs: a cell for each run, in their order. `kind` says how values read."""

    name: str
    title: str
    cells: list[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """`equal` counts what is the same everywhere, `left_out` settings that only some of the recipes have."""

    rows: list[Row] = field(default_factory=list)
    equal: int = 0
    left_out: int = 0


def settings(runs: Sequence[Run]) -> Table:
    """Settings that differ, in the order of the recipe's form. Of different recipes, those that all have."""
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    fields = {recipe: _fields(recipe) for recipe in recipes}
    names = list(dict.fromkeys([*(name for recipe in recipes for name in fields[recipe]), *_names(runs)]))
    shared = [name for name in names if _shared(name, runs, fields)]
    rows, equal = [], 0
    for name in shared:
        values = [run.config.get(name, ABSENT) for run in runs]
        if all(value is ABSENT for value in values):
            continue
        if _same(values):
            equal += 1
            continue
        cells = [_setting(value, fields[run.recipe].get(name)) for run, value in zip(runs, values, strict=True)]
        rows.append(Row(name, _title(name, fields.values()), cells))
    gone = {name for name in set(names) - set(shared) if any(name in run.config for run in runs)}
    return Table(rows, equal, len(gone))


def data(runs: Sequence[Run]) -> Table:
    """What the runs were trained on."""

    def of(say: Callable[[DatasetVersion], Any]) -> list[Any]:
        return [ABSENT if run.data is None else say(run.data) for run in runs]

    lines = [
        ("dataset", "Dataset", of(lambda data: data.dataset.name)),
        ("version", "Version", of(lambda data: f"{data.dataset.name} v{data.number}")),
        ("content_hash", "Content", of(lambda data: data.content_hash)),
        ("train", "Items to train on", of(lambda data: data.counts.get("train", 0))),
        ("validation", "Items to validate on", of(lambda data: data.counts.get("validation", 0))),
        ("test", "Items to test on", of(lambda data: data.counts.get("test", 0))),
        ("split_seed", "Seed of the split", of(lambda data: data.seed)),
        ("base", "Started from", [run.base or ABSENT for run in runs]),
    ]
    return _table(lines, "none", kinds={"content_hash": "hash"})


def environment(runs: Sequence[Run]) -> Table:
    """Where they ran: device, libraries, code."""
    said = [_environment(run) for run in runs]
    names = list(dict.fromkeys(name for one in said for name in one))
    lines = [(name, _words(name), [one.get(name, ABSENT) for one in said]) for name in names]
    return _table(lines, "not noted", kinds={"commit": "hash"})


def course(runs: Sequence[Run]) -> Table:
    """How the runs went: outcome, seed, time, cost."""
    estimates = [run.estimate for run in runs]
    costs = [cost(run) for run in runs]
    currency = next((guess.currency for guess in estimates if guess.currency), "")
    lines = [
        ("recipe", "Recipe", [RECIPES[run.recipe].title if run.recipe in RECIPES else run.recipe for run in runs]),
        ("status", "Outcome", [Status(run.job.status).label if run.job else ABSENT for run in runs]),
        ("seed", "Seed", [run.seed for run in runs]),
        ("seconds", "Time at work", [_or_absent(took(run)) for run in runs]),
        ("expected_seconds", "Expected", [_or_absent(guess.seconds) for guess in estimates]),
        ("cost", f"Cost in {currency}" if currency else "Cost", [_or_absent(value) for value in costs]),
        ("steps", "Steps", [run.job.current_step if run.job else ABSENT for run in runs]),
    ]
    return _table(lines, "not known", kinds={"seconds": "seconds", "expected_seconds": "seconds"})


def _environment(run: Run) -> dict[str, Any]:
    said: dict[str, Any] = dict(noted(run.environment))
    if run.devices:
        said["devices"] = ", ".join(run.devices)
    return said | {key: value for key, value in run.code.items() if value is not None}


def _table(lines: Iterable[tuple[str, str, list[Any]]], nothing: str, kinds: dict[str, str] | None = None) -> Table:
    rows, equal = [], 0
    for name, title, values in lines:
        if all(value is ABSENT for value in values):
            continue
        if _same(values):
            equal += 1
            continue
        cells = [Cell(None, False, nothing) if value is ABSENT else Cell(value) for value in values]
        rows.append(Row(name, title, cells, (kinds or {}).get(name, "")))
    return Table(rows, equal)


def _setting(value: Any, known: FieldInfo | None) -> Cell:
    default = known.get_default(call_default_factory=True) if known and not known.is_required() else ABSENT
    if value is ABSENT:
        # Settings are kept complete, so this run is older than the setting.
        return Cell(None, False, f"not set, default {_said(default)}" if default is not ABSENT else "not set")
    return Cell(value, note="default" if default is not ABSENT and _key(value) == _key(default) else "")


def _said(value: Any) -> str:
    return {True: "yes", False: "no", None: "none", "": "none"}.get(value, str(value)) if _plain(value) else str(value)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | str)


def _fields(recipe: str) -> dict[str, FieldInfo]:
    """The settings of a recipe; none of one that is not there any more."""
    return dict(config_class(recipe).model_fields) if recipe in RECIPES else {}


def _names(runs: Sequence[Run]) -> list[str]:
    return [name for run in runs for name in run.config]


def _shared(name: str, runs: Sequence[Run], fields: dict[str, dict[str, FieldInfo]]) -> bool:
    """Whether each recipe has the setting; of one recipe alone, whatever its runs were given."""
    return len(fields) == 1 or all(name in known or _given(name, recipe, runs) for recipe, known in fields.items())


def _given(name: str, recipe: str, runs: Sequence[Run]) -> bool:
    return any(name in run.config for run in runs if run.recipe == recipe)


def _title(name: str, fields: Iterable[dict[str, FieldInfo]]) -> str:
    return next((known[name].title or name for known in fields if name in known), name)


def _words(name: str) -> str:
    known = {"trainhub": "TrainHub", "python": "Python", "commit": "Code revision", "modified": "Code was changed"}
    return known.get(name, name.capitalize() if name in PLACES else name)


PLACES = {"platform", "device", "devices", "threads", "processes"}


def _same(values: Sequence[Any]) -> bool:
    return all(value is not ABSENT for value in values) and len({_key(value) for value in values}) == 1


def _key(value: Any) -> str:
    """Equal for equal values, as JSON keeps them: 1 and 1.0 are one number, lists and tuples one list."""
    return json.dumps(float(value) if isinstance(value, int) and not isinstance(value, bool) else value, default=str)


def _or_absent(value: Any) -> Any:
    return ABSENT if value is None else value

"""What an experiment is to be, checked before it begins."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import InvalidInputError
from performance.experiments.evidence import ALPHA, LEAST
from performance.experiments.metrics import ABOUT, Metric, possible
from performance.models import Experiment
from registry.models import Alias, Model, ModelVersion
from registry.models.aliases import Name
from registry.prediction import can_be_tried

MOST_VARIANTS = 4
MOST_WEIGHT = 1000
LIMITS = {"expected": (2 * LEAST, 10_000_000), "minimum": (LEAST, 1_000_000), "max_days": (1, 365)}
DEFAULTS = {"expected": 2000, "minimum": 100, "max_days": 30}


@dataclass(frozen=True)
class Part:
    """One who takes part."""

    version: ModelVersion
    name: str
    weight: int
    control: bool
    shadow: bool


@dataclass(frozen=True)
class Planned:
    """An experiment that can begin."""

    parts: list[Part]  # the control first
    fields: dict[str, Any]  # of the experiment
    digest: str


def plan(
    model: Model, kind: str, arms: Sequence[Mapping[str, Any]], control: ModelVersion | None, metric: str,
    given: Mapping[str, Any],
) -> Planned:  # fmt: skip
    """InvalidInputError names each field that is wrong."""
    wrong: dict[str, list[str]] = {}
    if kind not in Experiment.Kind.values:
        _refuse({"kind": [f"Choose one of: {', '.join(Experiment.Kind.values)}."]})
    if metric not in possible(kind):
        wrong["metric"] = [f"Of this kind of test choose one of: {', '.join(possible(kind))}."]
        _refuse(wrong)
    parts = _parts(model, kind, arms, control, wrong)
    if parts and metric not in (fitting := possible(kind, parts[0].version)):
        wrong["metric"] = [
            f"Answers of {parts[0].version} can't be judged by this: no outcome would count. Choose one of: "
            f"{', '.join(fitting)}."
        ]
    fields = _numbers(metric, given, wrong)
    _refuse(wrong)
    name = " ".join(str(given.get("name") or "").split())[:200] or _default_name(kind, parts)
    fields |= {"name": name, "kind": kind, "metric": metric}
    told = [[part.version.pk, part.name, part.weight, part.control] for part in parts]
    digest = hashlib.sha256(json.dumps([model.pk, told, fields], sort_keys=True).encode()).hexdigest()
    return Planned(parts, fields, digest)


def champion(model: Model) -> ModelVersion | None:
    """The version in use."""
    alias = Alias.objects.filter(model=model, name=Name.CHAMPION).select_related("version__model").first()
    return alias.version if alias else None


def _parts(
    model: Model, kind: str, arms: Sequence[Mapping[str, Any]], control: ModelVersion | None,
    wrong: dict[str, list[str]],
) -> list[Part]:  # fmt: skip
    in_use = champion(model)
    first = control or in_use
    if first is None:
        wrong["control"] = ["The model has no champion: name the version that the others are compared with."]
        return []
    if in_use and first.pk != in_use.pk:
        wrong["control"] = [f"Compare with v{in_use.number}, the champion: it is the one in use."]
    shadow = kind == Experiment.Kind.SHADOW
    others = [arm for arm in arms if arm["version"].pk != first.pk]
    beside = next((arm for arm in arms if arm["version"].pk == first.pk), {})
    heaviest = max([_weight(arm, wrong) for arm in others], default=1)
    share = 1 if shadow else _weight(beside or {"weight": heaviest}, wrong)
    parts = [Part(first, _name(beside, first), share, True, False)]
    for arm in others:
        weight = 0 if shadow else _weight(arm, wrong)
        parts.append(Part(arm["version"], _name(arm, arm["version"]), weight, False, shadow))
    if not 1 <= len(others) <= MOST_VARIANTS:
        wrong["arms"] = [f"Choose 1 to {MOST_VARIANTS} versions beside v{first.number}."]
    _check_versions(model, parts, wrong)
    return parts


def _check_versions(model: Model, parts: Sequence[Part], wrong: dict[str, list[str]]) -> None:
    for part in parts:
        field = "control" if part.control else "arms"
        if part.version.model_id != model.pk:
            wrong.setdefault(field, []).append(f"{part.version} is a version of another model.")
        elif not can_be_tried(part.version) or part.version.damaged_at:
            wrong.setdefault(field, []).append(f"{part.version} can't answer: choose a ready version.")
    for what, values in (("version", [part.version.pk for part in parts]), ("name", [part.name for part in parts])):
        if len(set(values)) < len(values):
            wrong.setdefault("arms", []).append(f"Each {what} can stand in a test once.")


def _weight(arm: Mapping[str, Any], wrong: dict[str, list[str]]) -> int:
    weight = arm.get("weight") or 1
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= MOST_WEIGHT:
        wrong["arms"] = [f"A weight is a whole number from 1 to {MOST_WEIGHT:,}."]
        return 1
    return weight


def _name(arm: Mapping[str, Any], version: ModelVersion) -> str:
    return " ".join(str(arm.get("name") or "").split())[:50] or f"v{version.number}"


def _numbers(metric: str, given: Mapping[str, Any], wrong: dict[str, list[str]]) -> dict[str, Any]:
    about = ABOUT[Metric(metric)]
    found: dict[str, Any] = {}
    for name, (low, high) in LIMITS.items():
        value = given.get(name)
        found[name] = DEFAULTS[name] if value is None else value
        if isinstance(found[name], bool) or not isinstance(found[name], int) or not low <= found[name] <= high:
            wrong[name] = [f"Give a whole number from {low:,} to {high:,}."]
    for name, usual, low, high in (("alpha", ALPHA, 0.001, 0.2), ("margin", about.margin, 0.0, 1e12)):
        value = given.get(name)
        found[name] = usual if value is None else value
        if not isinstance(found[name], int | float) or not (low <= found[name] <= high and math.isfinite(found[name])):
            wrong[name] = [f"Give a number from {low:g} to {high:g}."]
    higher = given.get("higher_is_better")
    if about.higher is not None and higher not in (None, about.higher):
        wrong["higher_is_better"] = [f"Of this figure a {'higher' if about.higher else 'lower'} value is better."]
    found["higher_is_better"] = about.higher if about.higher is not None else higher is not False
    return found


def _default_name(kind: str, parts: Sequence[Part]) -> str:
    others = ", ".join(f"v{part.version.number}" for part in parts[1:])
    return f"{others} {'in the shadow of' if kind == Experiment.Kind.SHADOW else 'against'} v{parts[0].version.number}"


def _refuse(wrong: dict[str, list[str]]) -> None:
    if wrong:
        first = next(iter(wrong.values()))[0]
        raise InvalidInputError(first, "Correct the named fields and begin again.", fields=wrong)

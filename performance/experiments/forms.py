"""The form of a new experiment: what was typed, and what follows from it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.numbers import number_or_text
from common.pages import clean, number_in
from performance.experiments import overview, planning, words
from performance.experiments.metrics import ABOUT, Metric, is_share, possible
from performance.models import Experiment
from registry.models import Model, ModelVersion
from registry.prediction import can_be_tried

OFFERED = 12  # versions, the newest first
NUMBERS = ("expected", "minimum", "max_days", "alpha", "margin")


@dataclass(frozen=True)
class Choice:
    """A version that may take part."""

    version: ModelVersion
    champion: bool
    ticked: bool
    weight: str
    why_not: str = ""

    @property
    def key(self) -> str:
        return f"arm-{self.version.pk}"


def choices(model: Model, typed: Mapping[str, Any] | None) -> list[Choice]:
    """The versions of a model, the champion first."""
    in_use = planning.champion(model)
    versions = list(model.versions.select_related("model").filter(archived_at=None).order_by("-number")[:OFFERED])
    if in_use and in_use.pk not in {version.pk for version in versions}:
        versions.append(in_use)
    found = [_choice(version, in_use, typed or {}) for version in versions]
    return sorted(found, key=lambda choice: not choice.champion)


def _choice(version: ModelVersion, in_use: ModelVersion | None, typed: Mapping[str, Any]) -> Choice:
    key, champion = f"arm-{version.pk}", bool(in_use and version.pk == in_use.pk)
    why_not = "" if can_be_tried(version) else f"{version.get_status_display()}: it can't answer"
    return Choice(version, champion, champion or key in typed, str(typed.get(f"{key}.weight", "1")), why_not)


def read(model: Model, typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed as `verbs.start` takes it, still to be checked there."""
    chosen = [choice for choice in choices(model, typed) if choice.ticked]
    arms = [{"version": one.version, "weight": number_in(one.weight) or -1} for one in chosen]
    control = number_in(typed.get("control"))
    given: dict[str, Any] = {name: number_or_text(str(typed[name]).strip()) for name in NUMBERS if typed.get(name)}
    if is_share(str(typed.get("metric"))) and isinstance(given.get("margin"), int | float):
        given["margin"] /= 100  # typed in points
    return given | {
        "kind": typed.get("kind", ""),
        "metric": typed.get("metric", ""),
        "name": clean(str(typed.get("name", "")))[:200],
        "arms": arms,
        "control": next((one.version for one in choices(model, typed) if one.version.pk == control), None),
        "higher_is_better": _higher(typed),
    }


def _higher(typed: Mapping[str, Any]) -> bool | None:
    """Which way is better, where the figure itself does not say."""
    metric = typed.get("metric")
    if metric in Metric.values and ABOUT[Metric(metric)].higher is None:
        return bool(typed.get("better") != "lower")
    return None


def context(models: Sequence[Model], model: Model | None, typed: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the form shows; `typed` None: as it opens."""
    typed = typed or {}
    kind = typed.get("kind") if typed.get("kind") in Experiment.Kind.values else Experiment.Kind.AB.value
    fitting = possible(kind, planning.champion(model) if model else None)
    metric = typed.get("metric") if typed.get("metric") in fitting else fitting[0].value
    about = ABOUT[Metric(metric)]
    scale = 100 if is_share(metric) else 1
    # Of another metric the smallest difference that matters is another one, too.
    usual = {**planning.DEFAULTS, "alpha": 0.05, "margin": about.margin * scale}
    same = typed.get("metric_of") in (None, metric)
    values = usual | {name: typed[name] for name in NUMBERS if typed.get(name) and (same or name != "margin")}
    found: dict[str, Any] = {
        "models": models, "model": model, "kind": kind, "kinds": Experiment.Kind.choices, "metric": metric,
        "metrics": [(one.value, one.label, ABOUT[one].rests_on) for one in fitting], "about": about,
        "values": values | {"name": typed.get("name", ""), "better": typed.get("better", "higher")},
        "points": is_share(metric), "key": typed.get("key") or uuid.uuid4().hex,
    }  # fmt: skip
    if model:
        offered = choices(model, typed)
        found |= {"choices": offered, "champion": next((one.version for one in offered if one.champion), None)}
        found["control"] = number_in(typed.get("control"))
        found["expectation"] = expectation(model, metric, values["expected"], offered)
    return found


def expectation(model: Model, metric: str, expected: Any, offered: Sequence[Choice]) -> list[str]:
    """In sentences how long it will take by the traffic of the last week, and what it will tell."""
    number = number_in(str(expected))
    if not number or number < planning.LIMITS["expected"][0]:
        return []
    times = metric == Metric.LATENCY
    rate, what = (overview.answers_a_day(model), "answers") if times else (overview.outcomes_a_day(model), "outcomes")
    if not rate:
        said = [f"No {what} came in the last {overview.DAYS} days, so how long it takes is not known."]
    else:
        said = [
            f"At {rate:,.0f} {what} a day, as in the last {overview.DAYS} days, {number:,} take {_days(number / rate)}."
        ]
    variants = sum(1 for one in offered if one.ticked and not one.champion) or 1
    least = overview.visible_difference(metric, number * 2 // (variants + 1), variants)
    if least is not None:
        experiment = Experiment(metric=metric, kind=Experiment.Kind.AB)
        size = words.difference(experiment, least).removeprefix("+")
        said.append(f"They tell differences of about {size} apart; smaller ones take more.")
    return said


def _days(days: float) -> str:
    if days < 1:
        hours = max(1, round(24 * days))
        return f"about {hours} hour{'s' if hours > 1 else ''}"
    return f"about {days:,.0f} day{'s' if round(days) != 1 else ''}"

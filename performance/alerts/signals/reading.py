"""What a look at one thing says, and the doors to those who look.

Rules of one kind are looked at together: a round costs some queries for each kind, however many rules there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from django.db import connection

from performance.models import AlertRule
from registry.access import who_see_all
from registry.models import Model

# The models of a `rule(owner_id, model_id)` as `Scope` has them. Each part stands alone, so that each has its index.
MODELS = """(
    SELECT id, name FROM registry_model
    WHERE id = rule.model_id AND (rule.owner_id IS NULL OR owner_id = rule.owner_id)
    UNION ALL SELECT id, name FROM registry_model WHERE rule.model_id IS NULL AND owner_id = rule.owner_id
    UNION ALL SELECT id, name FROM registry_model WHERE rule.model_id IS NULL AND rule.owner_id IS NULL
)"""
Key = TypeVar("Key", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Signal:
    """One target of a rule. Neither `wrong` nor `well`: it lies between the two thresholds, or can't be told."""

    target: str  # a key
    title: str
    words: str = ""
    wrong: bool = False
    well: bool = False
    value: float | None = None
    mark: str = ""  # another one tells that something new was found
    model_id: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scope:
    """The models that a rule is about: those of `owner_id` (None: of everyone), or `model_id` alone if it is among
    them."""

    owner_id: int | None
    model_id: int | None

    def holds(self, model: Model) -> bool:
        return self.model_id in (None, model.pk) and self.owner_id in (None, model.owner_id)


def look(rule: AlertRule) -> list[Signal]:
    """How everything stands that the rule is about. What is missing here is no longer there."""
    return look_all([rule])[0]


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    """The same of several rules, all of one kind, in their order; their owners and models should be at hand."""
    found: list[list[Signal]] = import_module(f"performance.alerts.signals.{rules[0].kind}").look_all(rules)
    return found


def scopes(rules: Sequence[AlertRule]) -> list[Scope]:
    """What each rule is about: its own model, if its owner still sees it, or all models that they see. One query."""
    owners = {rule.owner_id for rule in rules if rule.owner_id is not None}
    see_all = who_see_all(owners) if owners else set()
    return [Scope(None if rule.owner_id in see_all else rule.owner_id, rule.model_id) for rule in rules]


def rows_by(keys: Sequence[Key], sql: str, *more: Any) -> dict[Key, list[tuple[Any, ...]]]:
    """The rows of a query for each of these keys that has some. Its `unnest` takes a number for each different key and
    the columns of the keys, and gives the number back first."""
    different = list(dict.fromkeys(keys))
    columns = [list(column) for column in zip(*different, strict=True)]
    found: dict[Key, list[tuple[Any, ...]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(sql, [[*range(len(different))], *columns, *more])
        for place, *row in cursor.fetchall():
            found.setdefault(different[place], []).append(tuple(row))
    return found


def judged(value: float, rule: AlertRule) -> tuple[bool, bool]:
    """(wrong, well) of a number. At the threshold itself a count or time is wrong already, a figure is not yet."""
    threshold = rule.threshold or 0.0
    clear = threshold if rule.clear_threshold is None else rule.clear_threshold
    if rule.kind == AlertRule.Kind.METRIC:
        if rule.comparison == AlertRule.Comparison.ABOVE:
            return value > threshold, value <= clear
        return value < threshold, value >= clear
    wrong = value >= threshold
    return wrong, not wrong and value <= clear

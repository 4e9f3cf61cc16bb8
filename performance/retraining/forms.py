"""The form of a retraining policy: what it starts with, and what was typed, as `policies.change` takes it."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from common import numbers
from common.errors import ProblemError
from common.pages import clean
from jobs import schedule_forms
from performance.models import RetrainingPolicy
from performance.retraining import policies

NONE = ""  # of the kinds of a rule: not by the calendar
CHECKED = ("enabled", "drift_inputs", "drift_predictions", "drift_errors", "collect")
WHOLE = ("new_items", "metric_periods", "metric_count", "cooldown_hours", "budget_jobs", "window_count")
NUMBERS = ("metric_value", "budget_device_hours")
TEXTS = ("metric", "metric_source", "metric_group", "metric_direction", "window", "after")
ROWS = ("dataset", "template")
# What stands where nothing was typed, of numbers that can't be empty.
LEAST = {"metric_periods": 1, "metric_count": 0, "cooldown_hours": 0}
CHOSEN = {"metric_direction": "below", "window": "all", "after": "report"}
RULE = ("kind", "at", "days", "day", "count", "unit", "expression", "zone")


def start(row: RetrainingPolicy, given: QueryDict) -> dict[str, Any]:
    """The form's values: what was typed, else what the policy has."""
    if "sent" in given:
        typed = schedule_forms.typed(given)
        typed["days"] = typed.get("days") or schedule_forms.DEFAULTS["days"]
        checked = {name: name in given for name in CHECKED}
        approvals = {name: name in given for name in ("approvals_start", "approvals_promotion")}
        return schedule_forms.DEFAULTS | {"kind": NONE} | typed | checked | approvals
    values = {name: _shown(getattr(row, name)) for name in (*WHOLE, *NUMBERS, *TEXTS)}
    values |= {name: getattr(row, name) for name in (*CHECKED, "approvals_start", "approvals_promotion")}
    values |= {name: str(getattr(row, f"{name}_id") or "") for name in ROWS}
    return schedule_forms.DEFAULTS | {"kind": NONE, "zone": row.zone} | values | _rule_of(row)


def wanted(values: dict[str, Any]) -> dict[str, Any]:
    """For `policies.change`. A text that is no number becomes one that every check refuses."""
    found: dict[str, Any] = {name: bool(values.get(name)) for name in CHECKED}
    found |= {name: int(bool(values.get(name))) for name in ("approvals_start", "approvals_promotion")}
    found |= {name: _number(values.get(name, ""), int, LEAST.get(name)) for name in WHOLE}
    found |= {name: _number(values.get(name, ""), float, None) for name in NUMBERS}
    found |= {name: clean(str(values.get(name, "")))[:100] or CHOSEN.get(name, "") for name in TEXTS}
    found |= {name: values.get(name) or None for name in ROWS}
    found["zone"] = schedule_forms.zone(values)
    found["rule"] = schedule_forms.rule(values) if values.get("kind") else None
    return found


def preview(row: RetrainingPolicy, values: dict[str, Any]) -> tuple[str, ProblemError | None]:
    """What the policy would do, in words, or why it can't be so."""
    try:
        return policies.in_words(policies.tried(row.model, **wanted(values))), None
    except ProblemError as problem:
        return "", problem


def _rule_of(row: RetrainingPolicy) -> dict[str, Any]:
    if not row.rule:
        return {}
    kept = dict(row.rule)
    if kept["kind"] == "every":
        unit = next(int(unit) for unit, _ in reversed(schedule_forms.UNITS) if kept["minutes"] % int(unit) == 0)
        return {"kind": "every", "unit": str(unit), "count": str(kept["minutes"] // unit)}
    return {key: str(value) if key == "day" else value for key, value in kept.items() if key != "from"}


def keeps_rule(row: RetrainingPolicy, values: dict[str, Any]) -> bool:
    """Whether the rule is the one that the policy has: minutes go on being counted from where they were."""
    if not row.rule:
        return False
    before = schedule_forms.rule(schedule_forms.DEFAULTS | _rule_of(row))
    return before == schedule_forms.rule(values) and schedule_forms.zone(values) == row.zone


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    return "" if value is None else str(value)


def _number(text: Any, kind: type, empty: Any) -> Any:
    text = str(text).strip()
    if not text:
        return empty
    try:
        return numbers.typed(text, kind)
    except ValueError:
        return -1

"""The form of a schedule: what was typed, what it starts with, and the rule that it means."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from common.pages import clean, number_in
from jobs.models import Schedule
from jobs.rules import DAYS

KINDS = [
    ("daily", "Every day"),
    ("weekdays", "Monday to Friday"),
    ("weekly", "On days of the week"),
    ("monthly", "On a day of the month"),
    ("every", "Every so many minutes or hours"),
    ("cron", "By a cron expression"),
]
UNITS = [("1", "minutes"), ("60", "hours"), ("1440", "days")]
DEFAULTS: dict[str, Any] = {
    "name": "", "source": "", "kind": "daily", "at": "02:30", "days": ["mon"], "day": "1", "count": "6", "unit": "60",
    "expression": "30 2 * * MON-FRI", "zone": "", "overlap": Schedule.Overlap.SKIP.value,
}  # fmt: skip


def typed(given: QueryDict) -> dict[str, Any]:
    """What a form sent; `days` are a list, all else is text."""
    values: dict[str, Any] = {key: clean(value) for key, value in given.items()}
    if "kind" in given:
        values["days"] = [clean(day) for day in given.getlist("days")]
    return values


def start(row: Schedule | None, values: dict[str, Any]) -> dict[str, Any]:
    """The form's values: what was typed, else what the schedule has, else defaults."""
    return DEFAULTS | (_of(row) if row else {}) | values


def zone(values: dict[str, Any]) -> str:
    """The time zone that a form means. The browser fills in its own; without scripts it may stay empty."""
    return values.get("zone", "").strip() or "UTC"


def rule(values: dict[str, Any]) -> dict[str, Any]:
    """The rule that a form means, for `Rule.read`, which says what is wrong with it."""
    kind = values.get("kind", "")
    if kind == "every":
        count, unit = number_in(values.get("count")), number_in(values.get("unit"))
        return {"kind": kind, "minutes": (count or 0) * (unit or 0)}
    if kind == "cron":
        return {"kind": kind, "expression": values.get("expression", "")}
    found: dict[str, Any] = {"kind": kind, "at": values.get("at", "")}
    if kind == "weekly":
        found["days"] = [day for day in DAYS if day in values.get("days", [])]
    if kind == "monthly":
        found["day"] = number_in(values.get("day"))
    return found


def day_choices(values: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """(value, label, whether it is chosen) of each day of the week."""
    return [(day, label, day in values.get("days", [])) for day, label in DAYS.items()]


def _of(row: Schedule) -> dict[str, Any]:
    kept = dict(row.rule)
    found = {"name": row.name, "zone": row.zone, "overlap": row.overlap, "kind": kept["kind"]}
    found["source"] = f"template:{row.template_id}" if row.template_id else "own"
    if kept["kind"] == "every":
        unit = next(int(unit) for unit, _ in reversed(UNITS) if kept["minutes"] % int(unit) == 0)
        return found | {"unit": str(unit), "count": str(kept["minutes"] // unit)}
    return found | {key: str(value) if key == "day" else value for key, value in kept.items() if key != "from"}

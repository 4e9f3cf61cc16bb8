"""The part 'When and where' of the forms: what a job needs, when it starts and how long it may run, as people type it.

Every function reads one field; InvalidInputError names it and says what may be written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from common.errors import InvalidInputError
from common.pages import number_in
from jobs import waiting
from jobs.limits import LONGEST
from jobs.models import AfterFailure, Job
from jobs.needs import DEVICES, MAX_DEVICES, MAX_MEMORY_GIB, read_labels
from jobs.priorities import read_priority
from jobs.states import MAX_PRIORITY, Priority

NUMBER = "number"  # the choice of a priority that is typed as a number
UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
LENGTH = re.compile(r"(\d{1,9}(?:[.,]\d{1,3})?)\s*([a-z]+)\s*")
LOCAL = "%Y-%m-%dT%H:%M"
FIELDS = ("priority", "device", "devices", "memory_gib", "labels", "not_before", "after", "after_failure",
          "preemptible", "max_seconds", "stall_seconds")  # fmt: skip
DEFAULTS = {"priority": "0", "device": "any", "devices": "1", "memory_gib": "", "labels": "", "not_before": "",
            "after": "", "after_failure": AfterFailure.CANCEL.value, "preemptible": "", "max_seconds": "",
            "stall_seconds": "", "zone": "", "priority_number": ""}  # fmt: skip


def resources(typed: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks of a node, as `Needs.read` takes it."""
    needs: dict[str, Any] = {"device": device(typed), "devices": devices(typed)}
    if amount := memory(typed):
        needs["memory_gib"] = amount
    if words := labels(typed):
        needs["labels"] = list(words)
    return {name: value for name, value in needs.items() if (name, value) != ("devices", 1)}


def read(typed: Mapping[str, str], user: Any) -> dict[str, Any]:
    """What the form asks `create_job` for."""
    return {
        "priority": priority(typed),
        "resources": resources(typed),
        "preemptible": bool(typed.get("preemptible")),
        "not_before": moment(typed),
        "after": needed(typed, user),
        "after_failure": typed.get("after_failure") or AfterFailure.CANCEL.value,
        "max_seconds": length(typed, "max_seconds"),
        "stall_seconds": length(typed, "stall_seconds"),
    }


def lent(kept: Mapping[str, Any]) -> dict[str, str]:
    """What the request of another job, or of a template, lends to the form: how it is treated, not when it starts."""
    needs = kept.get("resources", {})
    return {
        "priority": str(kept.get("priority", 0)),
        "device": needs.get("device", "any"),
        "devices": str(needs.get("devices", 1)),
        "memory_gib": f"{needs['memory_gib']:g}" if needs.get("memory_gib") else "",
        "labels": ", ".join(needs.get("labels", [])),
        "preemptible": "on" if kept.get("preemptible") else "",
        "max_seconds": length_shown(kept.get("max_seconds")),
        "stall_seconds": length_shown(kept.get("stall_seconds")),
    }


def shown(values: Mapping[str, str]) -> dict[str, Any]:
    """The form's levels of priority, and whether something differs from the defaults, so that the part is open."""
    level = values.get("priority", "")
    return {
        "levels": [(str(value), label) for value, label in Priority.choices],
        "typed_number": values.get("priority_number", "") if level == NUMBER else level,
        "placed": any(values.get(name, "") not in {"", DEFAULTS[name]} for name in FIELDS),
        "after_failures": AfterFailure.choices,
    }


def priority(typed: Mapping[str, str]) -> int:
    chosen = typed.get("priority", "").strip() or "0"
    if chosen != NUMBER:
        return read_priority(chosen)
    if not (text := typed.get("priority_number", "").strip()):
        hint = f"Type a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}, or choose a level."
        raise _wrong("priority", "The priority has no number.", hint)
    return read_priority(text)


def device(typed: Mapping[str, str]) -> str:
    chosen = typed.get("device") or "any"
    if chosen not in DEVICES:
        raise _wrong("device", "The device is not known.", f"Choose one of: {', '.join(DEVICES)}.")
    return chosen


def devices(typed: Mapping[str, str]) -> int:
    text = typed.get("devices", "").strip() or "1"
    count = number_in(text)
    if count is None or not 1 <= count <= MAX_DEVICES:
        hint = f"Write a whole number from 1 to {MAX_DEVICES}."
        raise _wrong("devices", "The number of devices is out of range.", hint)
    return count


def memory(typed: Mapping[str, str]) -> float:
    """GiB of each device; 0 where it does not matter."""
    text = typed.get("memory_gib", "").strip().replace(",", ".") or "0"
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not 0 <= amount <= MAX_MEMORY_GIB:
        hint = f"Write a number of GiB from 0 to {MAX_MEMORY_GIB:,}, such as 24."
        raise _wrong("memory_gib", "The memory is out of range.", hint)
    return amount


def labels(typed: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return read_labels(typed.get("labels", "").replace(" ", ","))
    except InvalidInputError as problem:
        raise _wrong("labels", problem.message, problem.hint) from None


def moment(typed: Mapping[str, str]) -> datetime | None:
    """The time to start, which is typed in the zone that the browser names; without one, in UTC."""
    text = typed.get("not_before", "").strip()
    if not text:
        return None
    try:
        typed_there = datetime.strptime(text[:16], LOCAL).replace(tzinfo=_zone(typed.get("zone", "")))
        return typed_there.astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "Choose a date and a time, such as 2026-03-01 14:00."
        raise _wrong("not_before", "The time to start is no time.", hint) from None


def needed(typed: Mapping[str, str], user: Any) -> list[Job]:
    """The jobs whose numbers were typed, with commas or spaces between them."""
    words = re.split(r"[\s,;#]+", typed.get("after", "").strip(" ,;#"))
    ids = []
    for word in filter(None, words):
        pk = number_in(word)
        if pk is None:
            hint = "Write the numbers of jobs, such as 12, 15."
            raise _wrong("after", f"'{word[:40]}' is no number of a job.", hint)
        ids.append(pk)
    return waiting.jobs_named(user, ids)


def length(typed: Mapping[str, str], name: str) -> float | None:
    """Seconds of '90 min' or '1 h 30 min'; None for nothing."""
    text = typed.get(name, "").strip().lower()
    if not text:
        return None
    parts = LENGTH.findall(text)
    whole = bool(parts) and not LENGTH.sub("", text) and all(unit in UNITS for _, unit in parts)
    seconds = sum(float(amount.replace(",", ".")) * UNITS[unit] for amount, unit in parts) if whole else math.nan
    if not 1 <= seconds <= LONGEST:
        hint = "Write a length of time such as 90 min, 2 h or 1 h 30 min, at least 1 s and at most 366 d."
        raise _wrong(name, "The limit is no length of time.", hint)
    return seconds


def length_shown(seconds: float | None) -> str:
    """As it may be typed: '1 h 30 min'."""
    if seconds is None:
        return ""
    rest, words = seconds, []
    for unit in ("d", "h", "min"):
        count, rest = divmod(rest, UNITS[unit])
        if count:
            words.append(f"{count:.0f} {unit}")
    if rest or not words:
        words.append(f"{rest:g} s")
    return " ".join(words)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (OSError, ValueError, KeyError):
        return ZoneInfo("UTC")


def _wrong(name: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={name: [hint]})

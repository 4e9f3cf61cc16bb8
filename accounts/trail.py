"""Reading the audit trail: for administrators, by person, verb, kind of row and time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date

from accounts.models import AuditEntry
from common.errors import ForbiddenError, InvalidInputError

NAMES = ("actor", "verb", "kind", "object", "since", "until")
COLUMNS = ("place", "at", "actor_name", "verb", "kind", "object_id", "name", "details", "hash")
FIRST, LAST = date(1970, 1, 2), date(9999, 12, 30)
EMPTY: tuple[Any, ...] = (None, "", [], {})
HUB = "-"  # as a person's name: what the hub did by itself


def check_reader(user: AbstractBaseUser | AnonymousUser) -> None:
    """ForbiddenError for everyone but administrators."""
    if not getattr(user, "is_staff", False):
        raise ForbiddenError("Only administrators read the audit trail.", "Ask one of them.")


def entries(given: Mapping[str, str]) -> QuerySet[AuditEntry]:
    """The entries that fit, newest first. `actor` is a user's name ('-': the hub by itself), `verb`, `kind` and
    `object` are as they stand in the entries, `since` and `until` are days, both inclusive. InvalidInputError for a
    day that is none."""
    rows = AuditEntry.objects.order_by("-id")
    wanted = {name: str(given.get(name) or "").strip()[:150] for name in NAMES}
    if wanted["actor"]:
        rows = rows.filter(actor_name="" if wanted["actor"] == HUB else wanted["actor"])
    for name, column in (("verb", "verb"), ("kind", "kind"), ("object", "object_id")):
        if wanted[name]:
            rows = rows.filter(**{column: wanted[name]})
    if wanted["since"]:
        rows = rows.filter(at__gte=_start(_day("since", wanted["since"])))
    if wanted["until"]:
        rows = rows.filter(at__lt=_start(_day("until", wanted["until"]) + timedelta(days=1)))
    return rows


def details(entry: AuditEntry) -> dict[str, Any]:
    """What an entry tells beside its fields; {} where somebody made it unreadable."""
    try:
        found = json.loads(entry.details)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def in_words(entry: AuditEntry) -> str:
    """The details in a line: 'reason: Better. · margin: 0.1', without what is empty: that is in the CSV."""
    told = {name: value for name, value in details(entry).items() if value not in EMPTY}
    return " · ".join(f"{name.replace('_', ' ')}: {_short(value)}" for name, value in told.items())


def kind_in_words(entry: AuditEntry) -> str:
    """What kind of thing an entry is about: 'alert rule'. As it is written for what the hub has no more."""
    known = {model._meta.model_name: model._meta.verbose_name for model in apps.get_models()}
    return str(known.get(entry.kind, entry.kind))


def _short(value: Any) -> str:
    text = _plain(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(one)}" for name, one in value.items() if one not in EMPTY)
    if isinstance(value, list):
        return "; ".join(_plain(one) for one in value)
    return "nothing" if value is None else str(value)


def _day(name: str, text: str) -> date:
    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None or not FIRST <= found <= LAST:
        hint = "Give a day such as 2026-03-01."
        raise InvalidInputError(f"{name}: '{text[:40]}' is no day.", hint, fields={name: [hint]})
    return found


def _start(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))

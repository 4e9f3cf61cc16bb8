"""What the history can be asked for: the same on its page, in its API, in a saved view and for an export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q
from django.utils.dateparse import parse_date

from common.access import visible
from common.errors import InvalidInputError
from common.numbers import BIGINT_MAX
from common.pages import clean
from datasets.models import Subject
from engine.catalogue import RECIPES
from history.facts import MODALITIES
from history.models import Session
from registry.models import Model

OUTCOMES = ("completed", "failed", "cancelled")
# In the order in which an address names them.
NAMES = (
    "search", "outcome", "recipe", "kind", "modality", "subject", "model", "user", "tag", "starred", "since", "until",
)  # fmt: skip
WORDS = {"outcome": OUTCOMES, "recipe": tuple(RECIPES), "kind": tuple(Session.Kind.values), "modality": MODALITIES}
# Each has an index in the order of time; those that few sessions fulfil come first.
EQUAL = ("outcome", "recipe", "modality", "kind")
DAILY = {*EQUAL, "user", "since", "until"}  # the sums of each day know these
NUMBER = re.compile(r"\d{1,19}")
FIRST, LAST = date(1970, 1, 1), date(8999, 12, 31)


@dataclass(frozen=True)
class Filters:
    """Conditions that a session must fulfil, all of them. Empty ones ask for nothing. Days are of UTC."""

    search: str = ""
    outcome: str = ""
    recipe: str = ""
    kind: str = ""
    modality: str = ""
    subject: int | None = None
    model: int | None = None
    user: int | None = None
    tag: str = ""
    starred: bool = False
    since: date | None = None
    until: date | None = None

    def active(self) -> set[str]:
        """The names of those that ask for something."""
        return {one.name for one in fields(self) if getattr(self, one.name) != one.default}

    def query(self) -> dict[str, str]:
        """As an address has them."""
        active = self.active()
        values = {name: getattr(self, name) for name in NAMES if name in active}
        return {name: "1" if value is True else str(value) for name, value in values.items()}

    def of(self, user_id: int) -> Filters:
        """The same, of one person alone."""
        return replace(self, user=user_id)


def read(given: Mapping[str, Any], viewer: AbstractBaseUser, *, lenient: bool = False) -> Filters:
    """The filters that an address, a form or a body asks for.

    What can't be asked for is an InvalidInputError that names the field, as is a subject, model or user that does not
    exist for `viewer`. `lenient` passes it over: for looking only.
    """
    wanted: dict[str, Any] = {}
    for name in NAMES:
        text = clean(str(given.get(name) or "")).strip()
        if not text:
            continue
        try:
            wanted[name] = _value(name, text, viewer)
        except ValueError as error:
            if not lenient:
                raise _wrong(name, str(error)) from None
    if wanted.get("since") and wanted.get("until") and wanted["since"] > wanted["until"] and not lenient:
        raise _wrong("until", "The range ends before it starts: swap since and until.")
    return Filters(**wanted)


def _wrong(name: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: {problem}", problem, fields={name: [problem]})


def _value(name: str, text: str, viewer: AbstractBaseUser) -> Any:
    if name in WORDS:
        if text not in WORDS[name]:
            raise ValueError(f"One of: {', '.join(WORDS[name])}.")
        return text
    match name:
        case "subject" | "model" | "user":
            number = int(text) if NUMBER.fullmatch(text) and int(text) <= BIGINT_MAX else 0
            if not _exists(name, number, viewer):
                raise ValueError(f"There is no {name} {text[:20]} for you.")
            return number
        case "since" | "until":
            return _day(text)
        case "starred":
            if text not in {"1", "true", "0", "false"}:
                raise ValueError("true or false.")
            return text in {"1", "true"}
    return text[:200] if name == "search" else text[:40]


def _exists(name: str, number: int, viewer: AbstractBaseUser) -> bool:
    if name == "user":
        return viewer.pk == number or (viewer.is_staff and get_user_model().objects.filter(pk=number).exists())
    model = {"subject": Subject, "model": Model}[name]
    return visible(model.objects.all(), viewer).filter(pk=number).exists()


def _day(text: str) -> date:
    try:
        day = parse_date(text[:10]) if len(text) == 10 else None
    except ValueError:
        day = None
    if day is None or not FIRST <= day <= LAST:
        raise ValueError("A day such as 2026-03-01.")
    return day


def time_range(since: date | None, until: date | None) -> Q:
    """Sessions that started on these days."""
    found = Q()
    if since:
        found &= Q(started_at__gte=datetime.combine(since, time.min, UTC))
    if until:
        found &= Q(started_at__lt=datetime.combine(until + timedelta(days=1), time.min, UTC))
    return found


def parts(wanted: Filters) -> dict[str, Q]:
    """Each condition by itself but for user and time, those first that few sessions fulfil."""
    found: dict[str, Q] = {}
    if wanted.model is not None:
        found["model"] = Q(model_version__model=wanted.model)
    if wanted.subject is not None:
        found["subject"] = Q(subject=wanted.subject)
    if wanted.starred:
        found["starred"] = Q(starred=True)
    if wanted.tag:
        found["tag"] = Q(tags__contains=[wanted.tag])
    for name in EQUAL:
        if value := getattr(wanted, name):
            found[name] = Q(**{name: value})
    if wanted.search:
        found["search"] = Q(name__icontains=wanted.search) | Q(note__icontains=wanted.search)
    return found

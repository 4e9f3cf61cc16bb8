"""Which subjects can be trained: what a policy asks of a subject's data, and why it is not met.

Everything is counted by the database in two or three queries, whatever the number of subjects: words, seconds and rows
are kept with the items, so that no text is read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Avg, Case, Count, FloatField, Max, Q, QuerySet, Sum, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from common.access import visible
from common.errors import InvalidInputError, NotFoundError
from datasets.gating import gates
from datasets.models import EligibilityPolicy, Item, Modality, Subject

DEFAULT_NAME = "Development default"
DEFAULT = {"responses": 2, "words": 50, "categories": 1}
# Criterion → (what it asks for, the greatest value that makes sense). Values are at least 0.
NUMBERS: dict[str, tuple[str, float]] = {
    "responses": ("responses", 1e9),
    "words": ("words", 1e12),
    "categories": ("categories", 1e6),
    "hours": ("hours of recordings", 1e6),
    "quality": ("a quality of", 100),
    "max_age_days": ("data of at most so many days", 36_500),
}
WHOLE = {"responses", "words", "categories"}
NAMED = 2000  # more subjects than this are not named in the query: all are counted, which is no slower
SINGULAR = {"responses": "response", "words": "word", "categories": "category", "hours": "hour"}


@dataclass(frozen=True)
class Figures:
    """What there is about a subject. Only items that passed their gates, where a policy asks for them."""

    items: int = 0
    responses: int = 0  # items; of a table its rows
    words: int = 0
    categories: int = 0
    hours: float = 0.0
    quality: float | None = None  # mean of the items that were checked
    newest: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a subject can be trained, by which policy, and if not why, a sentence each."""

    subject: Subject
    policy: EligibilityPolicy
    figures: Figures
    reasons: tuple[str, ...] = field(default=())

    @property
    def eligible(self) -> bool:
        return not self.reasons


def check_criteria(given: Any) -> dict[str, Any]:
    """Criteria as they are kept; a criterion that is empty is not asked for. InvalidInputError names wrong ones."""
    if not isinstance(given, Mapping):
        raise InvalidInputError("The criteria are no object.", 'Write {"responses": 2, "words": 50}.')
    unknown = sorted(set(map(str, given)) - {*NUMBERS, "gates"})
    if unknown:
        raise _wrong(unknown[0][:40], f"This is no criterion. Known are: {', '.join([*NUMBERS, 'gates'])}.")
    checked: dict[str, Any] = {}
    for name, (_, most) in NUMBERS.items():
        value = given.get(name)
        if value is None or value == "":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _wrong(name, "A number.")
        if not 0 <= value <= most or (name in WHOLE and value != int(value)):
            raise _wrong(name, f"A {'whole ' * (name in WHOLE)}number from 0 to {most:,.0f}.")
        checked[name] = int(value) if name in WHOLE else value
    gates = given.get("gates", False)
    if not isinstance(gates, bool):
        raise _wrong("gates", "true or false.")
    return checked | ({"gates": True} if gates else {})


def save_policy(
    policy: EligibilityPolicy | None = None, *, name: str, criteria: Any, kind: str = "", is_default: bool = False
) -> EligibilityPolicy:
    """Make or change a policy. The default holds for every subject whose kind has none of its own; there is one."""
    values = {"name": name.strip()[:100], "criteria": check_criteria(criteria), "kind": kind.strip()[:50]}
    if not values["name"]:
        raise _wrong("name", "Give it a name.")
    if EligibilityPolicy.objects.filter(name=values["name"]).exclude(pk=policy.pk if policy else None).exists():
        raise _wrong("name", "There is a policy of this name already.")
    with transaction.atomic():
        if is_default:
            EligibilityPolicy.objects.filter(is_default=True).exclude(pk=policy.pk if policy else None).update(
                is_default=False
            )
        row = policy or EligibilityPolicy()
        for key, value in {**values, "is_default": is_default}.items():
            setattr(row, key, value)
        row.save()
    return row


def find_policy(key: str | int) -> EligibilityPolicy:
    """A policy by its id or name. NotFoundError names those that there are."""
    rows = EligibilityPolicy.objects.all()
    text = str(key).strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
    found = rows.filter(name=text).first() or (rows.filter(pk=number).first() if number else None)
    if found is None:
        names = ", ".join(rows.values_list("name", flat=True)[:10])
        raise NotFoundError(f"There is no policy '{text[:50]}'.", f"There are: {names or 'none'}.")
    return found


def evaluate(
    subjects: Sequence[Subject], policy: EligibilityPolicy | None = None, now: datetime | None = None
) -> list[Verdict]:
    """The verdict on each subject, in their order, by `policy` or the one for its kind."""
    if not subjects:
        return []
    policies = {None: policy} if policy else _policies()
    now = now or timezone.now()
    keys = [subject.pk for subject in subjects]
    chosen = {subject.pk: policies.get(subject.kind) or policies[None] for subject in subjects}
    counted = {gated: figures(keys, gated) for gated in {_gated(one) for one in chosen.values()}}
    verdicts = []
    for subject in subjects:
        by = chosen[subject.pk]
        of = counted[_gated(by)].get(subject.pk, Figures())
        verdicts.append(Verdict(subject, by, of, tuple(reasons(by.criteria, of, now))))
    return verdicts


def figures(subjects: Collection[int], gated: bool = False) -> dict[int, Figures]:
    """What there is about each subject: its own items, and those of its datasets that name no subject; one query."""
    items = Item.objects.filter(gates.PASSED) if gated else Item.objects.all()
    # An item is about its own subject, else about its dataset's.
    items = items.order_by().annotate(about=Coalesce("subject_id", "dataset__subject_id")).filter(about__isnull=False)
    if len(subjects) <= NAMED:
        items = items.filter(about__in=list(subjects))
    table = When(dataset__modality=Modality.TABLE, then=Coalesce(_fact("rows"), 1.0))
    rows = items.values("about").annotate(
        count=Count("pk"),
        responses=Sum(Case(table, default=Value(1.0), output_field=FloatField())),
        words=Coalesce(Sum(_fact("words")), 0.0),
        categories=Count("label", distinct=True, filter=~Q(label="")),
        seconds=Coalesce(Sum(_fact("seconds")), 0.0),
        mean_quality=Avg("quality"),
        newest=Max(Coalesce("recorded_at", "created_at")),
    )
    return {
        row["about"]: Figures(
            row["count"], int(row["responses"]), int(row["words"]), row["categories"], row["seconds"] / 3600,
            row["mean_quality"], row["newest"],
        )
        for row in rows
    }  # fmt: skip


def reasons(criteria: Mapping[str, Any], of: Figures, now: datetime) -> list[str]:
    """What is missing, in words."""
    told = [
        f"needs {_count(needed, name)}, has {_amount(getattr(of, name)) if getattr(of, name) else 'none'}"
        for name in ("responses", "words", "categories", "hours")
        if getattr(of, name) < (needed := criteria.get(name, 0))
    ]
    if (needed := criteria.get("quality")) is not None and (of.quality is None or of.quality < needed):
        has = "was not checked yet" if of.quality is None else f"has {of.quality:.0f}"
        told.append(f"needs a quality of {_amount(needed)}, {has}")
    if (most := criteria.get("max_age_days")) is not None:
        age = None if of.newest is None else (now - of.newest).total_seconds() / 86_400
        if age is None:
            told.append(f"needs data of the last {_count(most, 'days')}, has none")
        elif age > most:
            told.append(f"needs data of the last {_count(most, 'days')}, the newest are {age:,.0f} days old")
    return told


def in_words(criteria: Mapping[str, Any]) -> str:
    """What a policy asks for: 'at least 2 responses, 50 words and 1 category'."""
    parts = [
        _count(criteria[name], name) for name in ("responses", "words", "categories", "hours") if criteria.get(name)
    ]
    if criteria.get("quality"):
        parts.append(f"a quality of {_amount(criteria['quality'])}")
    text = f"at least {', '.join(parts)}" if parts else "nothing"
    if criteria.get("max_age_days") is not None:
        text += f", of the last {_count(criteria['max_age_days'], 'days')}"
    return text + (", all through the gates" if criteria.get("gates") else "")


def visible_subjects(user: AbstractBaseUser) -> QuerySet[Subject]:
    """Subjects that `user` may see, with what a row of a list shows."""
    return visible(Subject.objects.select_related("owner").defer("owner__password"), user)


def _policies() -> dict[str | None, EligibilityPolicy]:
    """The policy of each kind, and under None the one of all others; one query."""
    found: dict[str | None, EligibilityPolicy] = {}
    for row in EligibilityPolicy.objects.order_by("id"):
        if row.is_default:
            found[None] = row
        if row.kind:
            found.setdefault(row.kind, row)
    found.setdefault(None, EligibilityPolicy(name=DEFAULT_NAME, criteria=DEFAULT, is_default=True))
    return found


def _fact(name: str) -> Cast:
    return Cast(KeyTextTransform(name, "facts"), FloatField())


def _gated(policy: EligibilityPolicy) -> bool:
    return bool(policy.criteria.get("gates"))


def _count(number: float, name: str) -> str:
    noun = SINGULAR.get(name, name.removesuffix("s")) if number == 1 else name
    return f"{_amount(number)} {noun}"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,.2f}".rstrip("0")


def _wrong(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"The criterion '{field}' can't be used: {problem}", problem, fields={field: [problem]})

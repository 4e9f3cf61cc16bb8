"""One request, a job for each of many subjects; each that can't have one is told why."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.errors import ConflictError, InvalidInputError, ProblemError
from datasets.models import EligibilityPolicy, Subject
from engine import catalogue
from jobs import template_rules
from jobs.candidates import Candidate, candidates
from jobs.creation import check_config, create_job
from jobs.models import Job, JobTemplate

AT_ONCE = 500
# What a template or a request may say beside recipe and settings; data and subject are each subject's own.
OPTIONS = (
    "validation_fraction", "test_fraction", "split_by", "split_key", "seed", "priority", "resources", "preemptible",
    "max_seconds", "phase_seconds", "stall_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Started:
    """What came of one subject: its job, new or made by the same request before; or the problem."""

    subject: Subject
    job: Job | None = None
    created: bool = False
    problem: ProblemError | None = None


def start(
    by: AbstractBaseUser, subjects: Sequence[Subject], *, recipe: str = "", config: Mapping[str, Any] | None = None,
    template: JobTemplate | None = None, policy: EligibilityPolicy | None = None, key: str = "", **options: Any,
) -> list[Started]:  # fmt: skip
    """Start a job of the recipe for each subject, in their order; a job belongs to its subject's owner.

    A template lends recipe, settings and options; what is given goes before it. With a `key`, a subject has one job
    however often the request is sent. InvalidInputError when nothing could be started for anyone: an unknown recipe,
    wrong settings, no subject or too many.
    """
    wanted = list({subject.pk: subject for subject in subjects}.values())
    if not 1 <= len(wanted) <= AT_ONCE:
        hint = f"Name from 1 to {AT_ONCE} subjects at a time."
        message = f"{len(wanted):,} subjects were named." if wanted else "No subject was named."
        raise InvalidInputError(message, hint, fields={"subjects": [hint]})
    request = _request(recipe, config, template, options)
    checked = check_config(request["recipe"], request["config"])
    found = candidates(wanted, request["recipe"], policy, checked, request["options"].get("resources"))
    earlier = _earlier(found, key)
    return [_start(one, request | {"config": checked}, _key(key, one.subject), earlier) for one in found]


def _request(
    recipe: str, config: Mapping[str, Any] | None, template: JobTemplate | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    kept = template_rules.without_asked(template) if template else {}
    recipe = recipe or kept.get("recipe", "")
    if not recipe:
        raise InvalidInputError("No recipe was named.", "Name a recipe or a template.", fields={"recipe": ["Missing."]})
    lent = kept.get("config", {}) if kept.get("recipe") == recipe else {}
    given = {name: value for name, value in options.items() if value is not None}
    if template:
        template_rules.applied_to_many(template, {**given, "recipe": recipe, "config": config})
    chosen = {name: kept[name] for name in OPTIONS if kept.get(name) is not None} | given
    return {"recipe": recipe, "config": {**lent, **(config or {})}, "options": chosen}


def _start(one: Candidate, request: dict[str, Any], key: str, earlier: dict[str, Job]) -> Started:
    subject = one.subject
    if key and (job := earlier.get(key)):
        if (job.recipe, job.config) == (request["recipe"], request["config"]):
            return Started(subject, job)
        message = f"The Idempotency-Key was used before, for job {job.pk}, with another request."
        return Started(subject, problem=ConflictError(message, "Use a new key for a new request."))
    try:
        if one.reasons:
            raise ConflictError(f"'{subject.name}' {', and '.join(one.reasons)}.", _hint(one.policy))
        if one.obstacle:
            raise ConflictError(one.obstacle, "Then start it again.")
        job, created = create_job(
            subject.owner, recipe=request["recipe"], config=request["config"], dataset=one.dataset, subject=subject,
            name=f"{catalogue.recipe(request['recipe']).title}: {subject.name}"[:200], idempotency_key=key,
            **request["options"],
        )  # fmt: skip
    except ProblemError as problem:
        return Started(subject, problem=problem)
    return Started(subject, job, created)


def _hint(policy: EligibilityPolicy) -> str:
    return f"That is what the policy '{policy.name}' asks for. Add data, or ask an administrator to change it."


def _earlier(found: list[Candidate], key: str) -> dict[str, Job]:
    """Jobs that this key made before; one query."""
    if not key:
        return {}
    keys = [_key(key, one.subject) for one in found]
    owners = {one.subject.owner_id for one in found}
    return {job.idempotency_key: job for job in Job.objects.filter(owner__in=owners, idempotency_key__in=keys)}


def _key(key: str, subject: Subject) -> str:
    """The key of one subject's job. Short whatever the request's was."""
    return f"start-{hashlib.sha256(key.encode()).hexdigest()[:40]}-{subject.pk}" if key else ""

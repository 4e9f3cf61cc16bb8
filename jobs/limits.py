"""Limits: of time for one job, and of jobs for one user or subject."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import Q

from common.errors import ConflictError, ForbiddenError, InvalidInputError
from common.push import publish
from datasets.models import Subject
from jobs.models import Job, Limit
from jobs.states import ACTIVE, Phase

LOCK = 7_236_003  # with a user's id: two requests of one user must not both take the last place
MOST = 1_000_000
LONGEST = 366 * 86_400.0
Numbers = tuple[int | None, int | None]  # max_running, max_active
LIMITED_PHASES = (Phase.PREPARING, Phase.TRAINING, Phase.EVALUATING, Phase.SAVING)


def seconds(given: Any, field: str) -> float:
    """A limit of time in seconds. InvalidInputError names `field`."""
    wrong = isinstance(given, bool) or not isinstance(given, int | float)
    if wrong or not 1 <= given <= LONGEST:
        raise InvalidInputError(
            "The time limit is out of range.",
            f"Use a number of seconds from 1 to {LONGEST:,.0f}, or leave it out.",
            fields={field: ["out of range"]},
        )
    return float(given)


def phase_seconds(given: dict[str, Any]) -> dict[str, float]:
    """Limits of phases: {'preparing': 600}. InvalidInputError names what is wrong."""
    unknown = sorted(set(map(str, given)) - {phase.value for phase in LIMITED_PHASES})
    if unknown:
        raise InvalidInputError(
            f"There is no phase called '{unknown[0][:40]}'.",
            f"Known are: {', '.join(phase.value for phase in LIMITED_PHASES)}.",
            fields={"phase_seconds": ["unknown phase"]},
        )
    return {str(phase): seconds(value, "phase_seconds") for phase, value in given.items() if value is not None}


def check_room(owner: AbstractBaseUser, subject: Subject | None) -> None:
    """Refuse one more job when its owner or subject has as many active ones as allowed. Within a transaction.

    Requests of one owner, and those for one subject, wait for each other here, so the limit is exact.
    """
    for row, jobs, whose in _limits(owner, subject):
        if row.max_active is None:
            continue
        _take_turn(row, owner)
        active = jobs.filter(status__in=ACTIVE).count()
        if active >= row.max_active:
            raise ConflictError(
                f"{whose} {active} {'job' if active == 1 else 'jobs'} waiting or running, "
                f"and the limit is {row.max_active}.",
                "Wait until one has ended, or cancel one; an administrator can raise the limit.",
                limit=row.max_active,
            )


def take_turns(owner: AbstractBaseUser, subject: Subject | None) -> None:
    """Take the turns that `check_room` will need, before the rows that it is asked about are locked.

    A request for a new job holds its turn when it looks at the jobs that it starts after: locks in the other order
    would let two requests wait for each other.
    """
    for row, _, _ in _limits(owner, subject):
        if row.max_active is not None:
            _take_turn(row, owner)


def _take_turn(row: Limit, owner: AbstractBaseUser) -> None:
    whose = owner.pk if row.subject_id is None else row.subject_id + (1 << 30)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, whose % (1 << 31)])


def _limits(owner: AbstractBaseUser, subject: Subject | None) -> list[tuple[Limit, Any, str]]:
    wanted = Q(user=owner) | Q(user=None, subject=None)
    rows = list(Limit.objects.filter(wanted | Q(subject=subject) if subject else wanted))
    found: list[tuple[Limit, Any, str]] = []
    own = next((row for row in rows if row.user_id == owner.pk), None)
    own = own or next((row for row in rows if row.user_id is None and row.subject_id is None), None)
    if own:
        found.append((own, Job.objects.filter(owner=owner), f"{owner.get_username()} has"))
    if subject and (row := next((row for row in rows if row.subject_id == subject.pk), None)):
        found.append((row, Job.objects.filter(subject=subject), f"The subject '{subject.name}' has"))
    return found


@transaction.atomic
def set_limit(
    by: AbstractBaseUser,
    *,
    user: AbstractBaseUser | None = None,
    subject: Subject | None = None,
    max_running: int | None = None,
    max_active: int | None = None,
) -> Limit | None:
    """Set the limit of a user, of a subject, or (with neither) of every user without one; None takes a part away.

    Returns the limit, None when nothing is limited any more. Running jobs are never ended by it.
    """
    administrators_only(by)
    check_limit(user, subject, max_running, max_active)
    publish("jobs.all")
    if max_running is None and max_active is None:
        Limit.objects.filter(user=user, subject=subject).delete()
        return None
    values = {"max_running": max_running, "max_active": max_active}
    return Limit.objects.update_or_create(user=user, subject=subject, defaults=values)[0]


def check_limit(
    user: AbstractBaseUser | None, subject: Subject | None, max_running: int | None, max_active: int | None
) -> None:
    """InvalidInputError for what can't be a limit."""
    if user and subject:
        raise InvalidInputError("A limit is for a user or for a subject.", "Choose one of the two.")
    for name, value in (("max_running", max_running), ("max_active", max_active)):
        if value is not None and (isinstance(value, bool) or not 0 <= value <= MOST):
            raise InvalidInputError(
                "The limit is out of range.", f"Use a whole number from 0 to {MOST:,}.", fields={name: ["out of range"]}
            )


@transaction.atomic
def replace_limits(
    by: AbstractBaseUser,
    *,
    everyone: Numbers | None = None,
    users: Mapping[AbstractBaseUser, Numbers] | None = None,
    subjects: Mapping[Subject, Numbers] | None = None,
) -> None:
    """Let these be the limits: what is given replaces all that there was of its kind, None leaves that kind alone."""
    administrators_only(by)
    if everyone is not None:
        set_limit(by, max_running=everyone[0], max_active=everyone[1])
    if users is not None:
        Limit.objects.filter(user__isnull=False).exclude(user__in=list(users)).delete()
        for user, (running, active) in users.items():
            set_limit(by, user=user, max_running=running, max_active=active)
    if subjects is not None:
        Limit.objects.filter(subject__isnull=False).exclude(subject__in=list(subjects)).delete()
        for subject, (running, active) in subjects.items():
            set_limit(by, subject=subject, max_running=running, max_active=active)


def administrators_only(by: AbstractBaseUser) -> None:
    """ForbiddenError for everyone else."""
    if not getattr(by, "is_staff", False):
        raise ForbiddenError("Only administrators may set limits.", "Ask one of them.")

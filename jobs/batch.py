"""One verb on many jobs, named by their ids: the same for every door."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import visible
from common.errors import InvalidInputError, NotFoundError, ProblemError
from jobs import control
from jobs.models import Job
from jobs.places import Move, move_in_queue
from jobs.priorities import read_priority

AT_ONCE = 500
PRIORITY = "priority"
ACTIONS = (*control.VERBS, PRIORITY)


@dataclass(frozen=True)
class Refusal:
    """A job that did not do what was asked, and why."""

    job_id: int
    problem: ProblemError


@dataclass
class Result:
    """What came of it, in the order in which the jobs were named, each once."""

    done: list[Job] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def act(by: AbstractBaseUser, action: str, ids: Iterable[int], *, value: Any = None, reason: str = "") -> Result:
    """Carry `action` out on each job; those that refuse it say why, the others do it all the same.

    `value` is the new priority (a number or a level) of the action 'priority', `reason` goes with 'cancel'. A job
    that `by` may not see is refused as one that does not exist. InvalidInputError for an unknown action, a wrong
    value, no job or too many.
    """
    wanted = list(dict.fromkeys(ids))
    verb = _verb(action, wanted, value, reason)
    if not 1 <= len(wanted) <= AT_ONCE:
        raise InvalidInputError(
            f"{len(wanted):,} jobs were named." if wanted else "No job was named.",
            f"Name from 1 to {AT_ONCE} jobs at a time.",
            fields={"ids": [f"from 1 to {AT_ONCE}"]},
        )
    found = {job.pk: job for job in visible(Job.objects.filter(pk__in=wanted), by)}
    outcome = control.many(_in_order(action, [found[pk] for pk in wanted if pk in found]), by, verb)
    place = {pk: number for number, pk in enumerate(wanted)}
    refused = [Refusal(job.pk, problem) for job, problem in outcome.refused]
    refused += [Refusal(pk, _absent(pk)) for pk in wanted if pk not in found]
    return Result(
        sorted(outcome.done, key=lambda job: place[job.pk]), sorted(refused, key=lambda one: place[one.job_id])
    )


def _verb(action: str, ids: list[int], value: Any, reason: str) -> Callable[[Job, AbstractBaseUser], Job]:
    if action == PRIORITY:
        return partial(control.change, priority=read_priority(value))
    if action not in control.VERBS:
        raise InvalidInputError(
            f"There is no action called '{action[:40]}'.",
            f"Known are: {', '.join(ACTIONS)}.",
            fields={"action": ["unknown"]},
        )
    if action in set(Move):
        return partial(move_in_queue, where=Move(action), together=frozenset(ids))
    return partial(control.cancel, reason=reason) if action == "cancel" else control.VERBS[action]


def _in_order(action: str, jobs: list[Job]) -> list[Job]:
    """Jobs that are moved together are moved in the order of the queue, downwards from its end."""
    if action not in set(Move):
        return jobs
    order = sorted(jobs, key=lambda job: (not job.interrupted, -job.priority, job.position, job.pk))
    return order[::-1] if action == Move.DOWN else order


def _absent(job_id: int) -> NotFoundError:
    return NotFoundError(
        f"There is no job {job_id} for you.",
        "Check the id. The job may have been deleted, or it belongs to someone else.",
    )

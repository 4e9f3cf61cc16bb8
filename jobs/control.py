"""What a person may ask of a job. Each verb is safe against being sent twice and against the job ending meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import EllipsisType
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from accounts import audit
from common.errors import ConflictError, InvalidInputError, ProblemError
from engine.protocol import FailureCode
from jobs import conflicts, limits, settling, waiting
from jobs.folders import discard_work, throw_away
from jobs.lifecycle import NotInStateError, locked, move, record
from jobs.models import Job
from jobs.outbox import note_end
from jobs.places import Move, move_in_queue, new_place, turns
from jobs.queue import knock_on_commit
from jobs.requests import ask
from jobs.states import MAX_PRIORITY, TERMINAL, Request, Status

User = AbstractBaseUser


@dataclass
class Outcome:
    """What came of a verb on many jobs."""

    done: list[Job] = field(default_factory=list)
    refused: list[tuple[Job, ProblemError]] = field(default_factory=list)


@transaction.atomic
def cancel(job: Job, by: User, reason: str = "") -> Job:
    """End a job. One that waits ends at once; a running one is asked, and its supervisor carries it out."""
    row = locked(job.pk)
    if row.status not in TERMINAL and row.request != Request.CANCEL:
        audit.write(by, "cancelled", row, was=row.status, reason=reason)
    if row.status == Status.RUNNING:
        return _ask(row, Request.CANCEL, by, reason)
    if row.status in TERMINAL:
        raise NotInStateError(row, "cancelled")
    expected = {Status.PENDING, Status.QUEUED, Status.PAUSED}
    row = move(row.pk, Status.CANCELLED, kind="cancelled", expected=expected, actor=by, message=reason)
    note_end(row)
    transaction.on_commit(lambda: discard_work(row.pk), robust=True)
    return row


@transaction.atomic
def pause(job: Job, by: User) -> Job:
    """Hold a job. A waiting one leaves the queue at once; a running one stops at its next checkpoint."""
    row = locked(job.pk)
    if row.status == Status.RUNNING:
        return _ask(row, Request.PAUSE, by, "")
    if row.status == Status.PAUSED:
        return row
    return move(row.pk, Status.PAUSED, kind="paused", expected={Status.QUEUED, Status.PENDING}, actor=by)


@transaction.atomic
def resume(job: Job, by: User) -> Job:
    """Put a paused job back into the queue, or where it still waits; it goes on from its checkpoint."""
    row = locked(job.pk)
    if _asked_before(row, "resumed"):
        return row
    return waiting.admit(row.pk, "resumed", expected={Status.PAUSED}, by=by, **waiting.place_of_return(row))


@transaction.atomic
def retry(job: Job, by: User) -> Job:
    """Run a failed or cancelled job again. A failed one goes on from its last good checkpoint, if it has one.

    What its last run made is recorded first, should that not have been done yet.
    """
    settling.settle(job)
    limits.take_turns(job.owner, job.subject)
    before = locked(job.pk)
    if _asked_before(before, "retried"):
        return before
    afresh = before.status == Status.CANCELLED or before.failure_code == FailureCode.CORRUPT_CHECKPOINTS
    expected = {Status.FAILED, Status.CANCELLED}
    changes: dict[str, object] = {**waiting.fresh_place(before)}
    if afresh:
        changes |= {"current_step": 0, "started_at": None}
    if afresh or before.failure_code == FailureCode.TIME_LIMIT:
        changes["spent_seconds"] = 0  # it gets its time once more
    if before.status in expected:
        limits.check_room(before.owner, before.subject)
    with _one_active(before):
        row = waiting.admit(job.pk, "retried", expected=expected, by=by, **changes)
    if afresh and (trash := throw_away(row.pk)):
        transaction.on_commit(lambda: shutil.rmtree(trash, ignore_errors=True), robust=True)
    return row


@transaction.atomic
def save_checkpoint(job: Job, by: User) -> Job:
    """Let a running job save a checkpoint now and go on. A wish to pause or cancel, which saves one too, stands."""
    row = locked(job.pk)
    if row.status != Status.RUNNING:
        raise NotInStateError(row, "told to save a checkpoint")
    return _ask(row, Request.CHECKPOINT, by, "")


@transaction.atomic
def start_now(job: Job, by: User) -> Job:
    """Let a pending job wait no longer for its time or for other jobs. A queued one is in the queue already."""
    row = locked(job.pk)
    if _asked_before(row, "released"):
        return row
    place = waiting.place_of_return(row) if row.attempt_number else waiting.fresh_place(row)
    row = move(row.pk, Status.QUEUED, kind="released", expected={Status.PENDING}, actor=by, changes=place)
    row.dependencies.all().delete()
    knock_on_commit()
    return row


@transaction.atomic
def change(
    job: Job,
    by: User,
    *,
    name: str | None = None,
    priority: int | None = None,
    preemptible: bool | None = None,
    max_seconds: float | EllipsisType | None = ...,
    stall_seconds: float | EllipsisType | None = ...,
    phase_seconds: dict[str, float] | EllipsisType = ...,
) -> Job:
    """Change what a job is called or how it is treated.

    None leaves name, priority and `preemptible` as they are. A limit stays when it is left out, and is taken away by
    None (phases: by {}); a running job heeds the new one within seconds, a failed one when it is retried.
    """
    row = locked(job.pk)
    changes: dict[str, Any] = {}
    if name is not None:
        if not name.strip():
            raise InvalidInputError("A job needs a name.", "Type a name.", fields={"name": ["may not be empty"]})
        if (wanted := name.strip()[:200]) != row.name:
            changes["name"] = wanted
    if priority is not None and priority != row.priority:
        changes |= _new_priority(row, priority)
    if preemptible is not None and preemptible != row.preemptible:
        _not_ended(row, "whether it gives way")
        changes["preemptible"] = preemptible
    changes |= _new_limits(row, max_seconds=max_seconds, stall_seconds=stall_seconds, phase_seconds=phase_seconds)
    if changes:
        Job.objects.filter(pk=row.pk).update(**changes)
        shown = {key: value for key, value in changes.items() if key != "position"}
        what = ", ".join(f"{key}: {_told(getattr(row, key))} → {_told(value)}" for key, value in shown.items())
        record(row, "changed", actor=by, message=what)
        knock_on_commit()
    row.refresh_from_db()
    return row


def _told(value: Any) -> str:
    return "none" if value is None or value == {} else str(value)


def _new_priority(row: Job, priority: int) -> dict[str, Any]:
    """A waiting job takes its place behind its owner's others of the new priority."""
    _not_ended(row, "its priority")
    if isinstance(priority, bool) or not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInputError(
            "The priority is out of range.",
            f"Use a number from {-MAX_PRIORITY} to {MAX_PRIORITY}.",
            fields={"priority": ["out of range"]},
        )
    return {"priority": priority, "position": new_place(row.owner_id, priority, turns(row))}


def _new_limits(row: Job, **wanted: Any) -> dict[str, Any]:
    """Those of the limits that differ. A failed job may still get others: it can be retried with them."""
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        if value is ...:
            continue
        if name == "phase_seconds":
            value = limits.phase_seconds(value)
        elif value is not None:
            value = limits.seconds(value, name)
        if value != getattr(row, name):
            changes[name] = value
    if changes and row.status != Status.FAILED:
        _not_ended(row, "its time limit")
    return changes


def _asked_before(row: Job, kind: str) -> bool:
    """Whether the last thing that happened to a waiting job is this very verb: it was sent twice."""
    if row.status not in {Status.QUEUED, Status.PENDING}:
        return False
    return row.events.order_by("-sequence").values_list("kind", flat=True).first() == kind


def _not_ended(row: Job, what: str) -> None:
    if row.status in TERMINAL:
        raise ConflictError(f"The job has ended, so {what} means nothing.", "Start it again first.", job=row.pk)


def _ask(job: Job, wish: Request, by: User, reason: str) -> Job:
    if ask(job, wish, by, reason):
        job.refresh_from_db()
    return job


@contextmanager
def _one_active(job: Job) -> Iterator[None]:
    """Say in words that another job of the same model or subject is active."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise conflicts.busy(job.model, job.subject, job.recipe) from error


def many(jobs: Iterable[Job], by: User, verb: Callable[[Job, User], Job]) -> Outcome:
    """Carry a verb out on each job. One that refuses says why; the others are done all the same."""
    outcome = Outcome()
    for job in jobs:
        try:
            outcome.done.append(verb(job, by))
        except ProblemError as problem:
            outcome.refused.append((job, problem))
    return outcome


# What can be asked of one or of many jobs, by the name that every door uses.
VERBS: dict[str, Callable[[Job, User], Job]] = {
    "cancel": cancel,
    "pause": pause,
    "resume": resume,
    "retry": retry,
    "checkpoint": save_checkpoint,
    "start_now": start_now,
    "up": partial(move_in_queue, where=Move.UP),
    "down": partial(move_in_queue, where=Move.DOWN),
    "top": partial(move_in_queue, where=Move.TOP),
}

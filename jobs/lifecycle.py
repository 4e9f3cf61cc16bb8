"""The one function that changes a job's status, and the record of every change."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models.functions import Now

from common.errors import ConflictError, NotFoundError
from common.push import publish
from jobs.models import Attempt, Job, JobEvent, Slot
from jobs.states import MOVES, TERMINAL, Phase, Request, Status


class StaleAttemptError(Exception):
    """The attempt that wants to write has lost its lease; another one, or nobody, owns the job now."""


class NotInStateError(ConflictError):
    """The job is not in a state from which this move is allowed. An ordinary outcome: someone was faster."""

    def __init__(self, job: Job, wanted: str) -> None:
        state = Status(job.status).label.lower()
        super().__init__(
            f"Job {job.pk} is {state}, so it can't be {wanted}.",
            "Look at its present state: someone may have been faster.",
            job=job.pk,
            job_status=job.status,
        )


@transaction.atomic
def move(
    job_id: int,
    to: Status,
    *,
    kind: str,
    expected: Collection[Status],
    attempt: int | None = None,
    actor: AbstractBaseUser | None = None,
    message: str = "",
    details: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> Job:
    """Move a job to `to`, if it is in one of `expected` and, where given, `attempt` still owns it.

    `kind` names the event by a participle (resumed, cancelled …), `changes` are further columns of the same
    update. The event row is written in the same transaction and the pages are told on commit. Raises
    NotInStateError when someone else moved it first, StaleAttemptError when the attempt is no longer the job's own.
    """
    job = locked(job_id)
    if attempt is not None and (job.attempt_number != attempt or job.status != Status.RUNNING):
        raise StaleAttemptError(f"attempt {attempt} of job {job_id} is over")
    return move_locked(
        job, to, kind=kind, expected=expected, actor=actor, message=message, details=details, changes=changes
    )


def move_locked(
    job: Job,
    to: Status,
    *,
    kind: str,
    expected: Collection[Status],
    actor: AbstractBaseUser | None = None,
    message: str = "",
    details: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> Job:
    """`move` for a job whose row this transaction holds already, as `locked` returns it."""
    present = Status(job.status)
    if present not in expected or to not in MOVES[present]:
        raise NotInStateError(job, kind)
    now: datetime = job.db_now  # type: ignore[attr-defined]
    columns = {"status": to, **_left(job, present, now), **_entered(to, now), **(changes or {})}
    columns["event_count"] = job.event_count + 1
    guard = Job.objects.filter(pk=job.pk, status=present, attempt_number=job.attempt_number)
    if not guard.update(**columns):
        raise NotInStateError(job, kind)
    said = {"actor": actor, "message": message, "details": details}
    number = columns.get("attempt_number", job.attempt_number)
    _write_event(job, job.event_count + 1, kind, now, (present, to), attempt=number, **said)
    announce(job)
    job.refresh_from_db()
    return job


def locked(job_id: int) -> Job:
    """The job's row, locked until the transaction ends, with the database's time as `db_now`."""
    job = Job.objects.select_for_update(of=("self",)).annotate(db_now=Now()).filter(pk=job_id).first()
    if job is None:
        raise NotFoundError(f"There is no job {job_id}.", "It may have been deleted.")
    return job


def record(
    job: Job,
    kind: str,
    *,
    at: datetime | None = None,
    move: tuple[Status | str, Status | str] = ("", ""),
    actor: AbstractBaseUser | None = None,
    attempt: int | None = None,
    message: str = "",
    details: dict[str, Any] | None = None,
) -> JobEvent:
    """Write an event of a job whose row is locked by this transaction; sequence numbers have no gaps."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET event_count = event_count + 1 WHERE id = %s RETURNING event_count", [job.pk]
        )
        (sequence,) = cursor.fetchone()
    event = _write_event(
        job, sequence, kind, at or Now(), move, actor=actor, attempt=attempt, message=message, details=details
    )
    announce(job)
    return event


def _write_event(
    job: Job,
    sequence: int,
    kind: str,
    at: datetime | Now,
    move: tuple[Status | str, Status | str],
    *,
    actor: AbstractBaseUser | None,
    attempt: int | None,
    message: str,
    details: dict[str, Any] | None,
) -> JobEvent:
    return JobEvent.objects.create(
        job_id=job.pk,
        sequence=sequence,
        at=at,
        kind=kind,
        from_status=move[0],
        to_status=move[1],
        actor=actor,
        attempt_number=attempt or None,
        message=message[:500],
        details=details or {},
    )


def announce(job: Job) -> None:
    """Tell the pages that show this job, and the lists that hold it; delivered on commit."""
    publish(f"job.{job.pk}", f"jobs.{job.owner_id}", "jobs.all")


def end_attempt(job: Job, number: int, outcome: Attempt.Outcome, reason: str = "", code: str = "") -> None:
    """Close the attempt's row and free its slots, in the transaction that moves its job.

    Raises StaleAttemptError when it is closed already.
    """
    closed = Attempt.objects.filter(job_id=job.pk, number=number, ended_at__isnull=True).update(
        ended_at=Now(), outcome=outcome, reason=reason[:500], code=code
    )
    if not closed:
        raise StaleAttemptError(f"attempt {number} of job {job.pk} is over")
    # A worker that ran a job for long had no reason to answer, and old knocks may lie there: it is not hung for that.
    alive = {} if outcome == Attempt.Outcome.LOST else {"answered_at": Now()}
    Slot.objects.filter(held_by__job_id=job.pk, held_by__number=number).update(held_by=None, **alive)


def _left(job: Job, present: Status, now: datetime) -> dict[str, Any]:
    """What leaving a state clears."""
    if present == Status.RUNNING:
        return {
            "phase": Phase.NONE,
            "request": Request.NONE,
            "requested_at": None,
            "requested_by": None,
            "spent_seconds": job.elapsed_seconds(now),
            "attempt_started_at": None,
            "rate": None,
            "figures": {},
        }
    if present in TERMINAL:
        return {
            "completed_at": None,
            "failure_code": "",
            "failure_message": "",
            "failure_hint": "",
            "failure_traceback": "",
            "attempts_since_progress": 0,
        }
    return {"waiting_for": ""}


def _entered(to: Status, now: datetime) -> dict[str, Any]:
    """What entering a state sets."""
    if to in TERMINAL:
        return {"completed_at": now, "interrupted": False, "not_before": None}
    if to == Status.QUEUED:
        return {"queued_at": now, "not_before": None}
    if to == Status.RUNNING:
        return {"phase": Phase.PREPARING, "attempt_started_at": now, "interrupted": False, "waiting_for": ""}
    return {}

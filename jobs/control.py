"""What a person may ask of a job. Each verb is safe against being sent twice and against the job ending meanwhile."""

from __future__ import annotations

import shutil

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from common.errors import ConflictError, InvalidInputError
from engine.protocol import FailureCode
from jobs.folders import discard_work, throw_away
from jobs.lifecycle import NotInStateError, announce, locked, move, record
from jobs.models import Job, OutboxMessage
from jobs.outbox import wake_on_commit
from jobs.queue import knock_on_commit
from jobs.states import TERMINAL, Request, Status

User = AbstractBaseUser


@transaction.atomic
def cancel(job: Job, by: User, reason: str = "") -> Job:
    """End a job. One that waits ends at once; a running one is asked, and its supervisor carries it out."""
    row = locked(job.pk)
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
    """Hold a job. A queued one leaves the queue at once; a running one stops at its next checkpoint."""
    row = locked(job.pk)
    if row.status == Status.RUNNING:
        return _ask(row, Request.PAUSE, by, "")
    return move(row.pk, Status.PAUSED, kind="paused", expected={Status.QUEUED}, actor=by)


@transaction.atomic
def resume(job: Job, by: User) -> Job:
    """Put a paused job back into the queue; it goes on from its checkpoint."""
    row = move(job.pk, Status.QUEUED, kind="resumed", expected={Status.PAUSED}, actor=by)
    knock_on_commit()
    return row


@transaction.atomic
def retry(job: Job, by: User) -> Job:
    """Run a failed or cancelled job again. A failed one goes on from its last good checkpoint, if it has one."""
    before = locked(job.pk)
    afresh = before.status == Status.CANCELLED or before.failure_code == FailureCode.CORRUPT_CHECKPOINTS
    expected = {Status.FAILED, Status.CANCELLED}
    changes = {"current_step": 0, "spent_seconds": 0, "started_at": None} if afresh else {}
    row = move(job.pk, Status.QUEUED, kind="retried", expected=expected, actor=by, changes=changes)
    if afresh and (trash := throw_away(row.pk)):
        transaction.on_commit(lambda: shutil.rmtree(trash, ignore_errors=True), robust=True)
    knock_on_commit()
    return row


@transaction.atomic
def change(job: Job, by: User, *, name: str | None = None, priority: int | None = None) -> Job:
    """Rename a job, or change its priority while it waits. None leaves a value as it is."""
    row = locked(job.pk)
    changes: dict[str, object] = {}
    if name is not None:
        if not name.strip():
            raise InvalidInputError("A job needs a name.", "Type a name.", fields={"name": ["may not be empty"]})
        changes["name"] = name.strip()[:200]
    if priority is not None and priority != row.priority:
        if row.status in TERMINAL:
            raise ConflictError("The job has ended, so its priority means nothing.", "Start it again first.")
        if not -1000 <= priority <= 1000:
            raise InvalidInputError("The priority is out of range.", "Use a number from -1000 to 1000.")
        changes["priority"] = priority
    if changes:
        Job.objects.filter(pk=row.pk).update(**changes)
        what = ", ".join(f"{key}: {getattr(row, key)} → {value}" for key, value in changes.items())
        record(row, "changed", actor=by, message=what)
        announce(row)
    row.refresh_from_db()
    return row


def note_end(job: Job) -> None:
    """Leave word for the rooms above that a run has ended, in the transaction that ended it."""
    OutboxMessage.objects.get_or_create(topic="run_ended", job=job, attempt_number=job.attempt_number)
    wake_on_commit()


def _ask(job: Job, wish: Request, by: User, reason: str) -> Job:
    """Store a wish for the supervisor. Cancelling overrides pausing; asking twice changes nothing."""
    if job.request in {wish, Request.CANCEL}:
        return job
    guard = Job.objects.filter(pk=job.pk, status=Status.RUNNING, attempt_number=job.attempt_number)
    guard.update(request=wish, requested_at=Now(), requested_by=by)
    record(job, f"{wish.value}_requested", actor=by, attempt=job.attempt_number, message=reason)
    job.refresh_from_db()
    return job

"""Jobs that wait for something named, a time or other jobs, and their way into the queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from common.access import visible
from common.errors import ConflictError, InvalidInputError
from common.wording import moment_utc
from jobs.folders import discard_work
from jobs.lifecycle import NotInStateError, locked, move
from jobs.models import AfterFailure, Dependency, Job
from jobs.outbox import note_end
from jobs.places import new_place, old_place, turns
from jobs.queue import knock_on_commit
from jobs.states import ACTIVE, TERMINAL, Status

NAMED = 3  # jobs that the sentence names
AT_ONCE = 500
UNWELL = frozenset({Status.FAILED, Status.CANCELLED})


def jobs_named(user: AbstractBaseUser, ids: Iterable[int]) -> list[Job]:
    """The jobs to start after, by their ids, each once. InvalidInputError for one that does not exist for `user`."""
    wanted = list(dict.fromkeys(ids))
    found = {job.pk: job for job in visible(Job.objects.filter(pk__in=wanted), user)}
    if missing := [pk for pk in wanted if pk not in found]:
        message = f"There is no job {missing[0]} for you."
        raise InvalidInputError(message, "Look its number up in the list of jobs.", fields={"after": [message]})
    return [found[pk] for pk in wanted]


def reason_to_wait(needed: Sequence[Job], after_failure: str, not_before: datetime | None) -> str:
    """Why a job can't be queued yet, in a sentence; empty when nothing holds it back.

    `needed` are all the jobs that it starts after, whatever their state; `not_before` a time that is still to come.
    """
    open_ones = [job for job in needed if job.status not in TERMINAL]
    unwell = [job for job in needed if job.status in UNWELL]
    if unwell and after_failure == AfterFailure.WAIT:
        job = unwell[0]
        return f"Job {job.pk} '{job.name[:80]}' {_ended(job)}: waits until it is retried and completes."
    if open_ones:
        names = ", ".join(f"{job.pk} '{job.name[:60]}'" for job in open_ones[:NAMED])
        more = f" and {len(open_ones) - NAMED} more" if len(open_ones) > NAMED else ""
        return f"Starts after job {names}{more}."
    if not_before:
        return f"Starts at {moment_utc(not_before)}."
    return ""


@transaction.atomic
def admit(job_id: int, kind: str, *, expected: set[Status], by: AbstractBaseUser | None = None, **changes: Any) -> Job:
    """Let a job into the queue, or to where it waits for what it still lacks.

    A time that has come and jobs that have completed hold nothing back any more.
    """
    row = locked(job_id)
    needed = _needed(row)
    if Status(row.status) in expected:
        _refuse_without_hope(row, needed)
    later = row.not_before if row.not_before and row.not_before > row.db_now else None  # type: ignore[attr-defined]
    reason = reason_to_wait(needed, row.after_failure, later)
    if reason:
        changes |= {"waiting_for": reason}
        return move(job_id, Status.PENDING, kind=kind, expected=expected, actor=by, changes=changes)
    row = move(job_id, Status.QUEUED, kind=kind, expected=expected, actor=by, changes=changes)
    knock_on_commit()
    return row


def _refuse_without_hope(row: Job, needed: list[Job]) -> None:
    """A job that is cancelled when one before it fails can't go on while that one has failed."""
    unwell = [job for job in needed if job.status in UNWELL]
    if unwell and row.after_failure == AfterFailure.CANCEL:
        first = unwell[0]
        raise ConflictError(
            f"Job {first.pk} '{first.name[:80]}', after which job {row.pk} is to start, {_ended(first)}.",
            "Retry that one first, then this one waits for it; or make a job that starts after no other.",
            job=first.pk,
            job_status=first.status,
            see=f"/jobs/{first.pk}",
        )


def place_of_return(row: Job) -> dict[str, float]:
    """The column for a job that comes back to the queue after it had been in it."""
    return {"position": old_place(row)}


def fresh_place(row: Job) -> dict[str, float]:
    """The column for a job that comes into the queue anew."""
    return {"position": new_place(row.owner_id, row.priority, turns(row))}


def release_due() -> int:
    """Move on the pending jobs whose time has come and whose jobs have ended; how many moved."""
    return sum(_release(pk) for pk in list(_free_to_go().order_by("not_before", "pk")[:AT_ONCE]))


def _free_to_go() -> QuerySet[Job, int]:
    needs = Dependency.objects.filter(job=OuterRef("pk"))
    is_open = Exists(needs.filter(needs__status__in=ACTIVE))
    is_unwell = Exists(needs.filter(needs__status__in=UNWELL))
    due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
    go_on = due & ~is_open & (~is_unwell | ~Q(after_failure=AfterFailure.WAIT))
    give_up = is_unwell & Q(after_failure=AfterFailure.CANCEL)
    return Job.objects.filter(status=Status.PENDING).filter(go_on | give_up).values_list("pk", flat=True)


def _release(job_id: int) -> int:
    """Move one pending job on, if nothing holds it back; 0 when it stays."""
    try:
        with transaction.atomic():
            return _decide(job_id)
    except NotInStateError:
        return 0  # a person was faster


def _decide(job_id: int) -> int:
    # A row that someone holds, be it a frozen process, is left to the next sweep: those behind it are not to wait.
    rows = Job.objects.select_for_update(skip_locked=True, of=("self",)).annotate(db_now=Now())
    row = rows.filter(pk=job_id, status=Status.PENDING).first()
    if row is None:
        return 0
    needed = _needed(row)
    unwell = [job for job in needed if job.status in UNWELL]
    if unwell and row.after_failure == AfterFailure.CANCEL:
        first = unwell[0]
        message = f"Job {first.pk} '{first.name[:80]}', after which it was to start, {_ended(first)}."
        row = move(job_id, Status.CANCELLED, kind="cancelled", expected={Status.PENDING}, message=message)
        note_end(row)
        transaction.on_commit(lambda: discard_work(job_id), robust=True)
        return 1
    later = row.not_before if row.not_before and row.not_before > row.db_now else None  # type: ignore[attr-defined]
    reason = reason_to_wait(needed, row.after_failure, later)
    if reason:
        Job.objects.filter(pk=job_id, status=Status.PENDING).exclude(waiting_for=reason).update(waiting_for=reason)
        return 0
    # A job that was tried before goes back to its place, a new one gets its place only now.
    place = place_of_return(row) if row.attempt_number else fresh_place(row)
    move(job_id, Status.QUEUED, kind="queued", expected={Status.PENDING}, message=_why(needed), changes=place)
    knock_on_commit()
    return 1


def _needed(row: Job) -> list[Job]:
    needed = Job.objects.filter(dependents__job=row).only("id", "name", "status")
    return list(needed.order_by("pk"))


def _ended(job: Job) -> str:
    return "failed" if job.status == Status.FAILED else "was cancelled"


def _why(needed: list[Job]) -> str:
    return "The jobs before it have ended." if needed else "Its time has come."

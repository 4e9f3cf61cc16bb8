"""What people (and the queue) ask of a running job: wishes in its row, carried out by its supervisor."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db.models.functions import Now

from jobs.lifecycle import announce, record
from jobs.models import Job
from jobs.states import REQUEST_RANK, Request, Status


def ask(job: Job, wish: Request, by: AbstractBaseUser | None, reason: str = "") -> bool:
    """Store a wish, in a transaction that holds the job's row; whether that changed anything.

    A stronger wish replaces a weaker one; asking twice changes nothing.
    """
    if REQUEST_RANK[Request(job.request)] >= REQUEST_RANK[wish]:
        return False
    guard = Job.objects.filter(pk=job.pk, status=Status.RUNNING, attempt_number=job.attempt_number)
    if not guard.update(request=wish, requested_at=Now(), requested_by=by):
        return False
    record(job, f"{wish.value}_requested", actor=by, attempt=job.attempt_number, message=reason)
    return True


def passed_on(job_id: int, number: int, wish: Request) -> None:
    """Clear a wish that the trainer has been told of and that does not end the run."""
    mine = Job.objects.filter(pk=job_id, attempt_number=number, status=Status.RUNNING, request=wish)
    if mine.update(request=Request.NONE, requested_at=None, requested_by=None):
        announce(Job.objects.only("owner_id").get(pk=job_id))

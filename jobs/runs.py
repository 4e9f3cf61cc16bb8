"""A run of a job is all attempts between two of its ends; it becomes one session of the history."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from jobs.models import Job, OutboxMessage

ENDED = "run_ended"  # the topic of what is left in the outbox at the end of each run
NAMESPACE = uuid.UUID("8f0f2a52-6f0d-5d5e-9d0c-0f5b6f1f7a11")  # any constant: session ids of jobs derive from it


def first_attempt(job_id: int, number: int) -> int:
    """The number of the attempt that began the run to which attempt `number` belongs."""
    earlier = OutboxMessage.objects.filter(topic=ENDED, job=job_id, attempt_number__lt=number)
    return (earlier.order_by("-attempt_number").values_list("attempt_number", flat=True).first() or 0) + 1


def session_id_of(job_id: int, first: int) -> uuid.UUID:
    """The id of the session of the run that attempt `first` began: always the same, and known while it runs."""
    return uuid.uuid5(NAMESPACE, f"job {job_id} attempt {first}")


def session_of(job_id: int, number: int) -> uuid.UUID:
    """The id of the session of the run to which attempt `number` belongs."""
    return session_id_of(job_id, first_attempt(job_id, number))


def recorded(session_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Those of these sessions that the history has, with the number of the page of each."""
    rows = Job.objects.filter(sessions__session_id__in=list(session_ids))
    return dict(rows.values_list("sessions__session_id", "sessions__pk"))

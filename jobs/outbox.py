"""What higher rooms must know. They take the rows up by themselves; here they are only woken, by dotted path.

That is why recording can never harm training: a row that can't be processed now stays and is tried again.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from common.background import enqueue
from jobs.models import OutboxMessage

LISTENERS = ("history.tasks.record_runs", "performance.tasks.record_evaluations")


def wake_on_commit() -> None:
    for task in LISTENERS:
        enqueue(task)


def sweep() -> None:
    """Wake the listeners again when a message is older than five seconds and still open."""
    if OutboxMessage.objects.filter(processed_at__isnull=True, created_at__lt=Now() - timedelta(seconds=5)).exists():
        wake_on_commit()

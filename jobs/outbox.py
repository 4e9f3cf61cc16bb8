"""What higher rooms must know. They take the rows up by themselves; here they are only woken, by dotted path.

That is why recording can never harm training: a row that can't be processed now stays and is tried again.
"""

from __future__ import annotations

import random
from datetime import timedelta

from django.db.models import Min
from django.db.models.functions import Now
from django_q.models import OrmQ

from common.background import QUEUE, enqueue
from jobs.models import Job, OutboxMessage

RETRY_SHARE = 1 / 30  # of the sweeps, which come once a second
LISTENERS = ("history.tasks.record_runs", "performance.tasks.record_evaluations")


def note_end(job: Job) -> None:
    """Leave word for the rooms above that a run has ended, in the transaction that ended it."""
    OutboxMessage.objects.get_or_create(topic="run_ended", job=job, attempt_number=job.attempt_number)
    wake_on_commit()


def wake_on_commit() -> None:
    for task in LISTENERS:
        enqueue(task)


def sweep() -> None:
    """Wake the listeners again when a message is older than five seconds and nothing waits in their queue.

    A message that failed before is tried about twice a minute, whichever node asks: it may never succeed.
    """
    late = OutboxMessage.objects.filter(processed_at__isnull=True, created_at__lt=Now() - timedelta(seconds=5))
    failures = late.aggregate(least=Min("failures"))["least"]
    if failures is None or (failures > 0 and random.random() > RETRY_SHARE):
        return
    if not OrmQ.objects.filter(key=QUEUE).exists():
        wake_on_commit()

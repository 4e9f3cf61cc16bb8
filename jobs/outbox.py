"""What higher rooms must know. They take the rows up by themselves; here they are only woken, by dotted path.

That is why recording can never harm training: a row that can't be processed now stays and is tried again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Min
from django.db.models.functions import Now
from django_q.models import OrmQ

from common.background import QUEUE, put
from jobs import runs
from jobs.automatic import mail
from jobs.models import Job, OutboxMessage, Trial

RETRY_SHARE = 1 / 30  # of the sweeps, which come once a second
HISTORY, PERFORMANCE = "history.tasks.record_runs", "performance.tasks.record_evaluations"
ADVANCE = "jobs.tasks.advance_search"  # of the search that a trial belongs to
GATHER_SECONDS = 0.5
LOOK = "performance.tasks.sweep"  # what the room above must look at now and then
MOST_WAITING = 20
_looked = [0.0]  # monotonic: when this process had it looked at last


class _Gathered:
    """Listeners that this process has still to wake; `until` None: none is ever put off."""

    until: float | None = None  # monotonic
    owed: set[str] = set()


def note_end(job: Job) -> None:
    """Leave word for the rooms above, and for its search, that a run has ended, in the transaction that ended it."""
    message = OutboxMessage(topic=runs.ENDED, job=job, attempt_number=job.attempt_number)
    OutboxMessage.objects.bulk_create([message], ignore_conflicts=True)
    mail.tell_ended(job)
    wake_on_commit(evaluated=job.model_version_id is not None)
    if search_id := Trial.objects.filter(job=job).values_list("search_id", flat=True).first():
        transaction.on_commit(lambda: put(QUEUE, ADVANCE, search_id), robust=True)


def wake_on_commit(evaluated: bool = True) -> None:
    """Wake the listeners once the transaction has committed; that of evaluations only if there may be one."""
    transaction.on_commit(lambda: _wake({HISTORY, PERFORMANCE} if evaluated else {HISTORY}), robust=True)


@contextmanager
def gathering() -> Iterator[None]:
    """For a worker that may end many short runs: within, listeners are woken at most twice a second, and at the end."""
    _Gathered.until = 0.0
    try:
        yield
    finally:
        _Gathered.until = None
        _wake(set())


def wake_owed() -> None:
    """Wake whom `gathering` put off, if it is time; a long run calls this now and then."""
    if _Gathered.owed:
        _wake(set())


def _wake(listeners: set[str]) -> None:
    _Gathered.owed |= listeners
    now = time.monotonic()
    if _Gathered.until is not None:
        if now < _Gathered.until:
            return
        _Gathered.until = now + GATHER_SECONDS
    while _Gathered.owed:
        put(QUEUE, _Gathered.owed.pop())


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


def have_looked() -> None:
    """Have the room above look at what it must look at now and then, unless much else waits."""
    if time.monotonic() < _looked[0] + settings.LOOK_SECONDS:
        return
    _looked[0] = time.monotonic()
    if OrmQ.objects.filter(key=QUEUE).count() < MOST_WAITING:
        put(QUEUE, LOOK)

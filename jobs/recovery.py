"""Ending attempts whose supervisor is gone, so that no job stays 'running' without anyone who runs it."""

from __future__ import annotations

import logging
import socket

from django.db import OperationalError, connection, transaction
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from psycopg.errors import LockNotAvailable

from engine.launch import boot_id, kill_leftover, process_alive
from engine.protocol import FailureCode
from jobs.conclusion import requeue
from jobs.lifecycle import StaleAttemptError
from jobs.models import Attempt, Node, Slot
from jobs.queue import Owner

log = logging.getLogger(__name__)


def release_lost() -> int:
    """End the attempts of supervisors that are dead on this host, and those whose lease ran out anywhere.

    A dead one on this host is known at once by process id, start time and boot id; one of an earlier boot is dead,
    unless its node still beats: then it is another machine of the same host name. A lease that ran out ends an
    attempt wherever it is: its supervisor hangs, or can't reach the database, and has stopped its trainer before.
    Returns how many attempts were ended.
    """
    host, boot = socket.gethostname(), boot_id()
    lapsed = Q(lease_until__lt=Now())
    elsewhere = set(Node.heard_of().filter(host=host).exclude(boot_id=boot).values_list("boot_id", flat=True))
    attempts = Attempt.objects.filter(ended_at__isnull=True).filter(Q(host=host) | lapsed)
    ended = 0
    for attempt in attempts.annotate(lapsed=ExpressionWrapper(lapsed, output_field=BooleanField())):
        dead = not _supervised(attempt) if attempt.boot_id == boot else attempt.boot_id not in elsewhere
        if attempt.lapsed or dead:
            ended += _release(attempt, boot)
    return ended


def release_slot(slot: Slot, owner: Owner) -> bool:
    """Make sure that nothing runs on a slot before it is used; False when a living supervisor holds it.

    An attempt of the asking process itself is one whose claim's answer was lost: nobody supervises it.
    """
    attempt = Attempt.objects.filter(held_slots=slot).first()
    if attempt is None:
        return True
    here = attempt.host == owner.host and attempt.boot_id == owner.boot_id
    own = (attempt.supervisor_pid, attempt.supervisor_start) == (owner.pid, owner.start_time)
    if here and (own or not _supervised(attempt)):
        return bool(_release(attempt, owner.boot_id))
    return False


def _supervised(attempt: Attempt) -> bool:
    return process_alive(attempt.supervisor_pid, attempt.supervisor_start)


def _release(attempt: Attempt, boot: str) -> int:
    """Kill what is left of the trainer on this host, then put the job back into the queue."""
    if attempt.trainer_pid and attempt.trainer_start and attempt.boot_id == boot:
        kill_leftover(attempt.trainer_pid, attempt.trainer_start)
    try:
        with transaction.atomic():
            # Its supervisor may be frozen with the row in its hand; the others are not to wait for that.
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '300ms'")
            requeue(
                attempt.job_id, attempt.number, Attempt.Outcome.LOST, "Its worker was lost.", FailureCode.WORKER_LOST
            )
    except StaleAttemptError:
        return 0  # someone else was faster
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            return 0  # the next sweep tries again; the database ends a transaction that stands still
        raise
    log.warning("job %s: attempt %s lost its worker and was ended", attempt.job_id, attempt.number)
    return 1

"""Doors for django-q2. A task takes plain ids and calls the function that does the work."""

from __future__ import annotations

import os
import socket
import time

from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django_q.models import OrmQ

from engine.launch import boot_id
from jobs.models import Attempt, Slot
from jobs.queue import Owner, claim
from jobs.recovery import release_slot
from jobs.supervisor import Supervisor, own_start_time

AWAY = (OperationalError, InterfaceError)


def answer(slot_id: int) -> int:
    """Answer a knock: run jobs on this slot until there is none left; how many were run."""
    slot = Slot.objects.select_related("node").filter(pk=slot_id, enabled=True).first()
    if slot is None:
        return 0
    # An answered knock is no longer outstanding, also when this worker dies before django-q2 notes its end.
    OrmQ.objects.filter(key=slot.queue, lock__gt=Now()).delete()
    owner = Owner(socket.gethostname(), boot_id(), os.getpid(), own_start_time())
    done = 0
    while True:
        try:
            attempt = _next(slot, owner)
            if attempt is None:
                return done
            Supervisor(attempt, slot).run()
            done += 1
        except AWAY:
            # Also when the answer of a claim was lost: the next round finds it open, and gives it back.
            connection.close()
            time.sleep(0.5)


def _next(slot: Slot, owner: Owner) -> Attempt | None:
    """The next job for a slot, None when it is to run none now."""
    Slot.objects.filter(pk=slot.pk).update(answered_at=Now())
    slot.node.refresh_from_db(fields=["state", "draining", "heartbeat_at", "set_aside_until"])
    if not slot.node.takes_jobs or not release_slot(slot, owner):
        return None
    return claim(slot, owner)

"""Doors for django-q2. A task takes plain ids and calls the function that does the work."""

from __future__ import annotations

import os
import socket
import time

from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django_q.models import OrmQ

from engine.launch import boot_id
from jobs import outbox
from jobs.automatic import mail, starting
from jobs.firing import serve
from jobs.models import Node, Slot
from jobs.queue import Owner, claim
from jobs.recovery import release_slot
from jobs.search.running import advance
from jobs.supervisor import Supervisor, own_start_time

LOOK_SECONDS = 1.0  # between two looks at what else may keep a slot from going on
AWAY = (OperationalError, InterfaceError)


def answer(slot_id: int) -> int:
    """Answer a knock: run jobs on this slot until there is none left; how many were run."""
    slot = Slot.objects.select_related("node").filter(pk=slot_id, enabled=True).first()
    if slot is None:
        return 0
    # An answered knock is no longer outstanding, also when this worker dies before django-q2 notes its end.
    OrmQ.objects.filter(key=slot.queue, lock__gt=Now()).delete()
    owner = Owner(socket.gethostname(), boot_id(), os.getpid(), own_start_time())
    with outbox.gathering():
        return _run_jobs(slot, owner)


def serve_schedule(schedule_id: int) -> int:
    """Make the job of a schedule whose time has come; 0 when someone else did."""
    return serve(schedule_id)


def start_fine_tuning(rule_id: int) -> int:
    """Start what the new examples of an automatic training complete; how many fine-tunings."""
    return starting.start_all(rule_id)


def send_letter(letter_id: int) -> bool:
    """Send word by mail; whether it was sent."""
    return mail.send(letter_id)


def advance_search(search_id: int) -> None:
    """Take a search as far as it goes now."""
    advance(search_id)


def _run_jobs(slot: Slot, owner: Owner) -> int:
    done, look_at = 0, 0.0
    while True:
        try:
            if time.monotonic() >= look_at:
                if not _may_go_on(slot, owner):
                    return done
                look_at = time.monotonic() + LOOK_SECONDS
            attempt = claim(slot, owner)
            if attempt is None:
                return done
            Supervisor(attempt, slot).run()
            done += 1
        except AWAY:
            # Also when the answer of a claim was lost: the next round finds it open, and gives it back.
            connection.close()
            look_at = 0.0
            time.sleep(0.5)


def _may_go_on(slot: Slot, owner: Owner) -> bool:
    """Whether this slot is to run jobs now. Looked at between two jobs, but not for each of many short ones.

    Whether its node takes jobs at all is for the claim to say, in the database's time: a clock here may be wrong.
    """
    Slot.objects.filter(pk=slot.pk).update(answered_at=Now())
    slot.node.refresh_from_db(fields=["state"])
    return slot.node.state == Node.State.ACTIVE and release_slot(slot, owner)

"""Shadows: versions that get a copy of what another one answers, so that both can be compared on the very same inputs.

The answer is given before a copy is made, and never waits for it: copies go to a few threads by a short queue. Where it
is full a copy is dropped, and counted.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import DatabaseError, connections
from django.db.models import F

from registry import prediction
from registry.logged import writing
from registry.logged.writing import Asked
from registry.models import RouteArm
from registry.routing import Choice
from registry.versions import listed

log = logging.getLogger(__name__)

THREADS = 2
WAITING = 32  # copies; each holds its inputs in memory …
WAITING_BYTES = 256 << 20  # … so all of them together hold no more than this


@dataclass(frozen=True)
class Copy:
    """What a shadow is asked, and the answers that were given."""

    arm: RouteArm
    asked: Asked
    given: Sequence[UUID]

    @property
    def size(self) -> int:
        """About how many bytes its inputs take; rows of a table by their number."""
        return sum(len(given) * (100 if isinstance(given, list) else 1) for given in self.asked.inputs)


class Pool:
    """Some threads that ask shadows, started with the first copy."""

    def __init__(self, threads: int = THREADS, waiting: int = WAITING) -> None:
        self.copies: queue.Queue[Copy] = queue.Queue(waiting)
        self.threads = threads
        self.begun = threading.Lock()
        self.dropped: dict[int, int] = {}  # by arm, since they were last written down
        self.size = 0  # of the copies that wait
        self.sizing = threading.Lock()

    def send(self, copy: Copy) -> bool:
        """Whether there was room for it."""
        if self.threads and self.begun.acquire(blocking=False):  # held for good by the first one
            for number in range(self.threads):
                threading.Thread(target=self._work, name=f"shadow-{number}", daemon=True).start()
        try:
            self._put(copy)
        except queue.Full:
            if copy.arm.pk not in self.dropped:
                log.warning("%s: too many inputs at once for a shadow, some are left out", copy.arm.version)
            self.dropped[copy.arm.pk] = self.dropped.get(copy.arm.pk, 0) + 1
            return False
        return True

    def _put(self, copy: Copy) -> None:
        with self.sizing:
            if self.size + copy.size > WAITING_BYTES:
                raise queue.Full
            self.copies.put_nowait(copy)
            self.size += copy.size

    def take(self) -> Copy:
        """The next copy, once there is one."""
        copy = self.copies.get()
        with self.sizing:
            self.size -= copy.size
        return copy

    def _work(self) -> None:
        while True:
            copy = self.take()
            try:
                answer(copy)
                self.tell()
            except Exception:
                log.exception("%s could not answer as a shadow", copy.arm.version)
            finally:
                self.copies.task_done()
                connections.close_all()

    def tell(self) -> None:
        """Write down how many were dropped, here, where nobody waits."""
        for arm in list(self.dropped):
            RouteArm.objects.filter(pk=arm).update(dropped=F("dropped") + self.dropped.pop(arm, 0))


POOL = Pool()


def send(choice: Choice, asked: Asked, given: Sequence[UUID]) -> None:
    """Have the shadows of a choice answer too, after it was answered. Never raises, never waits."""
    for arm in choice.shadows:
        POOL.send(Copy(arm, asked, given))


def answer(copy: Copy) -> None:
    """What a shadow makes of it, logged and given to nobody; that it can't is counted."""
    try:
        version = listed().get(pk=copy.arm.version_id)
        made = prediction.predict(version, list(copy.asked.inputs), copy.asked.parameters)
    except DatabaseError:
        raise
    except Exception as error:
        log.warning("%s could not answer as a shadow: %s", copy.arm.version, error)
        RouteArm.objects.filter(pk=copy.arm.pk).update(failed=F("failed") + max(1, len(copy.given)))
        return
    writing.write(copy.asked, Choice(version, copy.arm), made.outputs, made.latency_ms, shadow_of=copy.given)

"""Background work that is claimed by one worker, shows that it lives, and is taken up by another when it dies.

For tables with the columns `status` (queued, running, completed, failed), `attempt`, `created_at`, `started_at`,
`heartbeat_at` and `finished_at`: imports, quality runs, renderings. The attempt is the fence: a worker that was taken
for dead can write nothing more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from common.background import enqueue
from common.errors import InvalidInputError, ProblemError

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
STALE = timedelta(seconds=60)  # without a heartbeat for so long, a worker is taken for dead
UNTAKEN = timedelta(seconds=30)  # waiting work is offered to the workers again this often
AT_ONCE = 500  # are offered by one sweep; the next one goes on with those that waited longest
MAX_ATTEMPTS = 5  # work that kills its worker each time must end, too
Row = TypeVar("Row", bound=models.Model)


class LostClaimError(Exception):
    """Another worker took the work over, or it was cancelled or deleted: stop without a trace."""


class Claim(Generic[Row]):
    """This worker's right to a piece of work. Each write through it fails with LostClaimError once it was lost."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.attempt: int = row.attempt  # type: ignore[attr-defined]
        self._beat_at = time.monotonic()

    def update(self, **values: Any) -> None:
        """Write to the row, which also counts as a heartbeat."""
        mine = type(self.row)._default_manager.filter(pk=self.row.pk, attempt=self.attempt, status="running")
        if not mine.update(heartbeat_at=Now(), **values):
            raise LostClaimError
        self._beat_at = time.monotonic()

    def beat(self) -> None:
        """Show that this worker lives; writes at most every few seconds."""
        if time.monotonic() - self._beat_at > BEAT_SECONDS:
            self.update()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Beat from a thread meanwhile: for a call into a library that can take longer than a dead worker is given.

        A claim that is lost meanwhile is noticed by the next write.
        """
        done = threading.Event()

        def beat() -> None:
            try:
                while not done.wait(BEAT_SECONDS):
                    self.update()
            except (LostClaimError, DatabaseError):
                pass
            finally:
                connection.close()

        thread = threading.Thread(target=beat, name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def finish(self, problem: str = "", hint: str = "", **values: Any) -> None:
        """End the work: completed, or failed with what stopped it."""
        status = "failed" if problem else "completed"
        values = {"message": problem, "hint": hint} | values if problem else values
        cut = {key: value[:500] if key in {"message", "hint"} else value for key, value in values.items()}
        self.update(status=status, finished_at=Now(), **cut)
        self.row.refresh_from_db()


def take(model: type[Row], pk: int, *related: str) -> Claim[Row] | None:
    """Make this worker the one that does it; None when it may not: it ended, or another worker has it."""
    free = Q(status="queued") | Q(status="running", heartbeat_at__lt=Now() - STALE)
    try:
        with transaction.atomic():
            won = model._default_manager.filter(free, pk=pk).update(
                status="running",
                attempt=F("attempt") + 1,
                started_at=Coalesce(F("started_at"), Now()),
                heartbeat_at=Now(),
            )
            return Claim(model._default_manager.select_related(*related).get(pk=pk)) if won else None
    except IntegrityError:  # a constraint allows one at a time
        return None


def carry_out(
    claim: Claim[Any], what: str, work: Callable[[], None], end: Callable[[str, str], None], smaller: str
) -> bool:
    """Do the work, which ends itself when all went well; else end it in words. False when others have it now.

    `smaller` is what to do about work that kills its workers. A database error leaves the work open: its heartbeat
    stops, and the sweep has it taken up again.
    """
    try:
        _end_in_words(claim, what, work, end, smaller)
    except LostClaimError:  # also by an end that comes too late: whoever cancels takes the files away
        log.info("%s %s is no longer this worker's", what, claim.row.pk)
        return False
    return True


def _end_in_words(
    claim: Claim[Any], what: str, work: Callable[[], None], end: Callable[[str, str], None], smaller: str
) -> None:
    try:
        if claim.attempt > MAX_ATTEMPTS:
            raise InvalidInputError(f"The {what} was given up: it stopped its worker several times.", smaller)
        work()
    except (LostClaimError, DatabaseError):
        raise
    except ProblemError as error:
        end(error.message, error.hint)
    except Exception as error:
        log.exception("%s %s failed", what, claim.row.pk)
        end(f"The {what} stopped: {type(error).__name__}.", "Try again; if it happens again, tell us.")


def offer(model: type[models.Model], task: str, but: Q | None = None) -> int:
    """Have waiting work taken that nobody took, and that whose worker died. Returns how many were offered.

    `but` excludes what can't be taken now. At most `AT_ONCE`: cheap enough to be called every few seconds, however much
    waits.
    """
    rows = model._default_manager
    with transaction.atomic():
        rows.filter(status="running", heartbeat_at__lt=Now() - STALE).update(status="queued", heartbeat_at=None)
        untaken = Q(created_at__lt=Now() - UNTAKEN) & (
            Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=Now() - UNTAKEN)
        )
        # What was never offered first, then what was offered longest ago: nothing is passed over for good.
        due = rows.filter(untaken, status="queued").order_by(F("heartbeat_at").asc(nulls_first=True), "pk")
        if but is not None:
            due = due.exclude(but)
        asked = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:AT_ONCE])
        rows.filter(pk__in=asked).update(heartbeat_at=Now())
        for pk in asked:
            enqueue(task, pk)
    return len(asked)

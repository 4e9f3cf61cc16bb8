"""Holding a lease while something long is at work that can't renew it itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from jobs.progress import StaleAttemptError, renew_lease


@contextmanager
def held(job_id: int, number: int) -> Iterator[None]:
    """Renew the attempt's lease from a thread of its own until the block ends.

    Storing a large result takes longer than a lease; taken for lost meanwhile, its job would be run again. That the
    attempt is over is not told here: what ends it is guarded by its number.
    """
    done = threading.Event()
    renewer = threading.Thread(target=_renew, args=(job_id, number, done), name="lease", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()


def _renew(job_id: int, number: int, done: threading.Event) -> None:
    try:
        while not done.wait(settings.LEASE_SECONDS / 3):
            try:
                renew_lease(job_id, number)
            except StaleAttemptError:
                return
            except (DatabaseError, InterfaceError):
                connection.close()  # away: the next time may be better
    finally:
        connection.close()

"""Short background work: imports, recording, evaluation. Long work is a job's, see `jobs.queue`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connection, transaction
from django_q.tasks import async_task

QUEUE = "background"
CHANNEL = "trainhub_queue"


LONG = 7_205_913  # any number: the lock of whoever is at long background work


@contextmanager
def long_work() -> Iterator[None]:
    """Around a task that may take minutes: while its connection lives, its queue is not taken for one that hangs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s)", [LONG])
    try:
        yield
    finally:
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_shared(%s)", [LONG])


def is_long_work_alive() -> bool:
    """Whether anybody is within `long_work` now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
            [LONG],
        )
        return bool(cursor.fetchone()[0])


def enqueue(function: str, *arguments: int | str) -> None:
    """Run the dotted `function` on the background queue once the present transaction has committed.

    Only numbers and strings travel: django-q2's payloads are signed pickles. Losing the task between
    the commit and the queue is harmless, since every kind of work has a sweep that finds it in its own tables.
    """
    transaction.on_commit(lambda: put(QUEUE, function, *arguments), robust=True)


def put(queue: str, function: str, *arguments: int | str) -> None:
    """Put a task on a named queue now, and wake its cluster."""
    async_task(function, *arguments, cluster=queue, q_options={"save": False, "broker": _broker(queue)})
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, queue])


def _broker(queue: str) -> object:
    from django_q.brokers import get_broker

    return get_broker(queue)

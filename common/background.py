"""Short background work: imports, recording, evaluation. Long work is a job's, see `jobs.queue`."""

from __future__ import annotations

from django.db import connection, transaction
from django_q.tasks import async_task

QUEUE = "background"
CHANNEL = "trainhub_queue"


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

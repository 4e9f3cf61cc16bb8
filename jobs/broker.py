"""django-q2's ORM broker, woken by NOTIFY instead of by polling.

A task is on its way a few milliseconds after it was put, and an idle cluster asks once a second only, in case a
notification was lost. While the database is away the pusher waits here; django-q2's own would stop for ten seconds.
Times are the database's, so that a clock which is wrong on one machine delays no task.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from django_q.brokers.orm import ORM
from django_q.conf import Conf

from common.background import CHANNEL

log = logging.getLogger(__name__)
IDLE_SECONDS = 1.0


class KnockBroker(ORM):
    _listener: psycopg.Connection[Any] | None = None

    def dequeue(self) -> list[tuple[int, str]] | None:
        """Tasks to run, or None after at most a second without one."""
        try:
            listener = self._listen()
            found = self._take()
            if not found:
                self._wait(listener)
                found = self._take()
        except (OperationalError, InterfaceError, psycopg.Error) as error:
            log.warning("queue %s lost the database: %s", self.list_key, error)
            self._forget()
            time.sleep(0.5)
            return None
        return found

    def enqueue(self, task: str) -> int:
        return self.get_connection().create(key=self.list_key, payload=task, lock=Now()).pk

    def _take(self) -> list[tuple[int, str]] | None:
        rows = self.get_connection().filter(key=self.list_key, lock__lte=Now()).order_by("id")[:1]
        taken = Now() + timedelta(seconds=Conf.RETRY)
        return [
            (row.pk, row.payload)
            for row in rows
            if self.get_connection().filter(id=row.pk, lock=row.lock).update(lock=taken)
        ]

    def _wait(self, listener: psycopg.Connection[Any]) -> None:
        deadline = time.monotonic() + IDLE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            for notification in listener.notifies(timeout=left, stop_after=1):
                if notification.payload == self.list_key:
                    return

    def _listen(self) -> psycopg.Connection[Any]:
        if self._listener is None or self._listener.closed:
            parameters = dict(connection.get_connection_params())
            for name in ("cursor_factory", "context", "pool", "prepare_threshold", "server_side_binding"):
                parameters.pop(name, None)
            self._listener = psycopg.connect(**parameters, autocommit=True)
            self._listener.execute(f"LISTEN {CHANNEL}")
        return self._listener

    def _forget(self) -> None:
        connection.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def __getstate__(self) -> tuple[str, str | None]:
        return self.list_key, self._info

"""Rows of the log on their way to the database: whoever answers leaves them here and goes on.

A thread writes what came together at most every 200 ms. When the database can't take them they go to the spool at once,
so that a process that is killed loses what came in its last 200 ms and no more.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Sequence

from django.db import DatabaseError, InterfaceError, connections

from registry.logged import spool
from registry.logged.rows import Row
from registry.logged.storing import store

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.2
RETRY_SECONDS = 5.0  # for so long after a failure the database is not asked again
MAX_ROWS = 50_000
MAX_BYTES = 128 << 20
EXIT_SECONDS = 5.0


class Buffer:
    """What one process has still to write. `put` never waits for the database."""

    def __init__(self, into: spool.Store = store) -> None:
        self.into = into
        self.spool = spool.Spool()
        self.rows: list[Row] = []
        self.size = 0
        self.came = self.written = 0  # how many rows, ever
        self.lost = 0
        self.changed = threading.Condition()
        self.urgent = False
        self.closing = False
        self.retry_at = 0.0  # monotonic
        self.thread: threading.Thread | None = None

    def put(self, rows: Sequence[Row]) -> None:
        """Take rows in. Beyond the bound, which only a disk that hangs can reach, they are lost, and counted."""
        size = sum(len(row.input or "") + len(row.output or "") + len(row.features) + 500 for row in rows)
        with self.changed:
            if len(self.rows) + len(rows) > MAX_ROWS or self.size + size > MAX_BYTES:
                self.lost += len(rows)
                log.error("%s predictions could not be put down: neither database nor disk takes them", self.lost)
                return
            self.rows += rows
            self.size += size
            self.came += len(rows)
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="predictions", daemon=True)
                self.thread.start()
                atexit.register(self.close)
            self.changed.notify_all()

    def flush(self, seconds: float = 2.0) -> bool:
        """Wait until all that was put is in the database or on the disk; False when that takes longer."""
        with self.changed:
            wanted = self.came
            self.urgent = True
            self.changed.notify_all()
            return self.changed.wait_for(lambda: self.written >= wanted, seconds)

    def close(self) -> None:
        """At the end of the process: write what is left, or leave it on the disk."""
        with self.changed:
            self.closing = self.urgent = True
            self.changed.notify_all()
        if self.thread is not None:
            self.thread.join(EXIT_SECONDS)
        rows = self._taken()
        if rows:
            self.spool.append(rows)
        self.spool.close()

    def _run(self) -> None:
        while not self.closing:
            self._gather()
            rows = self._taken()
            if rows:
                self._write(rows)
                with self.changed:
                    self.written += len(rows)
                    self.changed.notify_all()
            elif self.spool.size and time.monotonic() >= self.retry_at:
                self._write([])
            if not self.rows:
                connections.close_all()

    def _gather(self) -> None:
        """Wait for rows, then for more of them for a while, unless somebody is in a hurry."""
        with self.changed:
            self.changed.wait_for(lambda: self.rows or self.closing, RETRY_SECONDS if self.spool.size else None)
            self.changed.wait_for(lambda: self.urgent or self.closing, GATHER_SECONDS)
            self.urgent = self.closing

    def _taken(self) -> list[Row]:
        with self.changed:
            rows, self.rows, self.size = self.rows, [], 0
            return rows

    def _write(self, rows: list[Row]) -> None:
        if time.monotonic() >= self.retry_at:
            try:
                if rows:
                    self.into(rows)
                    rows = []
                self.spool.empty(self.into)
                return
            except (DatabaseError, InterfaceError, OSError) as error:
                log.warning("predictions wait on the disk: %s", error)
            except Exception:
                # This thread is the only one that writes: what nobody thought of must not end it.
                log.exception("predictions wait on the disk")
            self.retry_at = time.monotonic() + RETRY_SECONDS
            connections.close_all()
        if rows:
            self._spill(rows)

    def _spill(self, rows: list[Row]) -> None:
        try:
            self.spool.append(rows)
        except (OSError, ValueError, TypeError) as error:
            self.lost += len(rows)
            log.error("%s predictions are lost: the database did not take them, nor the disk: %s", self.lost, error)


buffer = Buffer()

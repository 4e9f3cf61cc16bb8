"""Push: what commits in PostgreSQL reaches open pages.

A writer calls `publish` inside its transaction; PostgreSQL delivers the notification on commit. Each web
process has one `Hub` with one LISTEN connection. Viewers of the same thing share one `Channel`, which
renders each change once, whoever watches, and keeps only the last few messages: a slow viewer that falls
behind gets the full state again, so memory does not grow with slow browsers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psycopg
from django.db import connection, connections

from common.errors import NotFoundError

log = logging.getLogger(__name__)
T = TypeVar("T")

PG_CHANNEL = "trainhub_push"
# A channel renders at most this often (seconds); the first change after a pause is rendered at once.
MIN_INTERVAL = 0.04
# … and for many viewers less often: sending costs about 0.1 ms for each, and the process has other work, too.
INTERVAL_PER_VIEWER = 0.00025
# … and a costly rendering is followed by a rest of so many times its own length.
REST = 3.0
RING = 64
SNAPSHOT_SECONDS = 1.0
LINGER = 15.0


def publish(*topics: str) -> None:
    """Tell the pages that show these topics that something changed; delivered when the transaction commits.

    Once per flush, never per row: NOTIFY serialises commits.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [PG_CHANNEL, " ".join(topics)])


@dataclass(frozen=True)
class Message:
    """One server-sent event. `event` None is HTML for HTMX to swap; a name is a DOM event for scripts."""

    event: str | None
    data: str

    def encode(self, number: int) -> bytes:
        lines = [f"id: {number}"]
        if self.event:
            lines.append(f"event: {self.event}")
        lines += [f"data: {line}" for line in self.data.splitlines() or [""]]
        return ("\n".join(lines) + "\n\n").encode()


class Source(Protocol):
    """What a channel shows. Methods run in a worker thread and may use the ORM.

    Messages are idempotent (points carry their step, log lines their number): a viewer may get one twice.
    A source may also say, in seconds, `pace`: rendered at most that often, and `rhythm`: rendered at least that often
    while someone watches, because time alone changes what it shows (a node that is silent publishes nothing).
    """

    topics: tuple[str, ...]
    channel: str

    def snapshot(self) -> list[Message]:
        """The full state, for whoever connects. Called on a shallow copy, except for the first time."""

    def update(self) -> list[Message]:
        """What changed since the last call of this method, or since the source was opened."""


class Channel:
    """All viewers of one source, and the last messages that were sent to them."""

    def __init__(self, source: Source, hub: Hub) -> None:
        self.source = source
        self.hub = hub
        self.ring: deque[tuple[int, bytes]] = deque(maxlen=RING)
        self.number = 0
        self.viewers = 0
        self.left_at = 0.0
        self.changed = asyncio.Event()
        self.dirty = asyncio.Event()
        self.lock = asyncio.Lock()
        self.cached: tuple[float, int, bytes] | None = None  # when, at which number, what
        self.begun = False  # whether the first snapshot was taken
        self.task = asyncio.create_task(self._render_loop())

    async def snapshot(self) -> tuple[bytes, int]:
        """The full state as bytes and the number to go on from.

        Rendered at most once a second, however many ask: what changed since comes as messages after that number.
        """
        async with self.lock:
            if not self._usable():
                number = self.number
                # Once updates have begun, on a copy: what `update` remembers of this source must not move.
                source = copy(self.source) if self.begun else self.source
                messages = await self.hub.in_thread(source.snapshot)
                self.begun = True
                # What is rendered now may come again as a change after `number`; messages are idempotent.
                data = b"".join(message.encode(number) for message in messages)
                self.cached = (time.monotonic(), number, data)
            _, number, data = self.cached
            return data, number

    def _usable(self) -> bool:
        """Whether the last snapshot is young, and the ring still holds all that came after it."""
        if self.cached is None:
            return False
        taken, number, _ = self.cached
        return time.monotonic() - taken < SNAPSHOT_SECONDS and self.since(number) is not None

    def since(self, number: int) -> tuple[bytes, int] | None:
        """What came after `number`, or None when the ring no longer reaches back that far."""
        if number == self.number:
            return b"", number
        if not self.ring or self.ring[0][0] > number + 1:
            return None
        return b"".join(data for at, data in self.ring if at > number), self.number

    def _append(self, messages: list[Message]) -> None:
        for message in messages:
            self.number += 1
            self.ring.append((self.number, message.encode(self.number)))
        if messages:
            self.changed.set()
            self.changed = asyncio.Event()

    async def _render_loop(self) -> None:
        rhythm: float | None = getattr(self.source, "rhythm", None)
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.dirty.wait(), rhythm)
            if rhythm and self.viewers > 0:
                self.dirty.set()
            started = time.monotonic()
            async with self.lock:
                if self.dirty.is_set() and self.begun:
                    self.dirty.clear()
                    try:
                        self._append(await self.hub.in_thread(self.source.update))
                    except NotFoundError:  # what it showed was deleted: whoever connects again is told so
                        self.hub.drop(self)
                        return
                    except Exception:
                        log.exception("channel %s could not be rendered", self.source.channel)
                        self.hub.drop(self)
                        return
            # What is costly to render is rendered less often, so that no page takes the threads from the others.
            took = time.monotonic() - started
            pace = max(getattr(self.source, "pace", 0.0), took * REST)
            interval = max(MIN_INTERVAL, self.viewers * INTERVAL_PER_VIEWER, pace)
            await asyncio.sleep(max(MIN_INTERVAL / 4, interval - (time.monotonic() - started)))


class Hub:
    """The channels of this process, and the one connection that listens for them."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.by_topic: dict[str, set[Channel]] = {}
        # Two threads render for all viewers, so database connections do not grow with them.
        self.threads = ThreadPoolExecutor(2, thread_name_prefix="push")
        self.listener: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    async def in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.threads, _with_connection, call)

    async def open(self, make: Callable[[], Source]) -> Channel:
        """The channel of the source that `make` returns; `make` checks access and may raise ProblemError."""
        if self.listener is None or self.listener.done():
            self.listener = asyncio.create_task(self._listen())
        await asyncio.wait_for(self.listening.wait(), 5)
        source = await self.in_thread(make)
        channel = self.channels.get(source.channel)
        if channel is None:
            channel = self.channels[source.channel] = Channel(source, self)
            for topic in source.topics:
                self.by_topic.setdefault(topic, set()).add(channel)
        channel.viewers += 1
        return channel

    def leave(self, channel: Channel) -> None:
        """One viewer less. An empty channel lingers a while, since pages come back."""
        channel.viewers -= 1
        channel.left_at = time.monotonic()
        if channel.viewers <= 0:
            asyncio.get_running_loop().call_later(LINGER, self._drop_if_empty, channel)

    def drop(self, channel: Channel) -> None:
        channel.task.cancel()
        if self.channels.get(channel.source.channel) is channel:
            del self.channels[channel.source.channel]
        for topic in channel.source.topics:
            members = self.by_topic.get(topic, set())
            members.discard(channel)
            if not members:
                self.by_topic.pop(topic, None)
        channel.changed.set()

    def alive(self, channel: Channel) -> bool:
        return self.channels.get(channel.source.channel) is channel

    def _drop_if_empty(self, channel: Channel) -> None:
        if channel.viewers <= 0 and time.monotonic() - channel.left_at >= LINGER * 0.9:
            self.drop(channel)

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as listener:
                    await listener.execute(f"LISTEN {PG_CHANNEL}")
                    self.listening.set()
                    self._mark(self.channels.values())  # whatever happened while nobody listened
                    async for notification in listener.notifies():
                        for topic in notification.payload.split():
                            self._mark(self.by_topic.get(topic, ()))
            except (psycopg.Error, OSError) as error:
                log.warning("push lost the database: %s", error)
            await asyncio.sleep(0.5)

    @staticmethod
    def _mark(channels: Any) -> None:
        for channel in list(channels):
            channel.dirty.set()


def _with_connection(call: Callable[[], T]) -> T:
    try:
        return call()
    finally:
        connections.close_all()


def _parameters() -> dict[str, Any]:
    parameters = dict(connection.get_connection_params())
    for name in ("cursor_factory", "context", "pool", "prepare_threshold", "server_side_binding"):
        parameters.pop(name, None)
    return parameters

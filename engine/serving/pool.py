"""Who is loaded, and who answers: the model server's one decision maker.

Requests of a version wait in one queue; a replica that is free takes what waits, together where the recipe allows it.
A replica that dies is started again at once, and what it worked on is asked anew: predictions change nothing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from engine.serving.frames import Message, receive
from engine.serving.orders import BUSY, DIED, MAX_REPLICAS, NEVER_STARTED, Order
from engine.serving.served import DELAYS, TRIES, Replica, Request, Served
from engine.sockets import BrokenFrame

MOST_TRIED = 3  # versions that are loaded without being deployed
IDLE_SECONDS = 120.0  # after which such a version is unloaded
MOST_WAITING = 256  # requests of one version
AGAIN_SECONDS = 30.0  # after which a deployed version that can't be loaded is tried again
SAME_SECONDS = 2.0  # for which a version that can't be loaded need not be tried again to know why

Fork = Callable[[Order, int], int]


class Pool:
    """`fork` makes a replica of an order that talks through a socket, and returns its process id."""

    def __init__(self, fork: Fork, limit: int) -> None:
        self.fork, self.limit = fork, limit
        self.models: dict[str, Served] = {}
        self.reading: set[asyncio.Task[None]] = set()

    # What clients ask

    def submit(self, request: Request, order: Order | None, seconds: float) -> None:
        """Answer a request in time; `order` is there when the client knows that the version may be new here."""
        served = self.models.get(request.key)
        if served is None:
            if order is None:
                request.finish({"state": "unknown"})
                return
            served = self.models[request.key] = Served(order)
        if len(served.queue) >= MOST_WAITING:
            request.finish({"state": "error", "error": BUSY})
            return
        served.used = time.monotonic()
        if served.failure and served.used - served.failed_at < SAME_SECONDS:
            request.finish({"state": "failed", "error": served.failure})
            return
        served.unloaded = False
        request.timer = asyncio.get_running_loop().call_later(seconds, self._late, served, request)
        served.queue.append(request)
        self._dispatch(served)

    def leave(self, request: Request) -> None:
        """Whoever asked is gone."""
        if request.over:
            return
        request.answer = lambda header, body: None
        if request.replica is None:
            with suppress(KeyError, ValueError):
                self.models[request.key].queue.remove(request)
            request.finish({"state": "left"})
        elif request.stream:
            request.replica.say({"cancel": request.id})

    def _late(self, served: Served, request: Request) -> None:
        turn = request.replica is not None
        request.finish({"state": "late", "turn": turn})
        if request.replica:
            _kill(request.replica)  # it would not stop by itself; what else it worked on is asked anew
        else:
            served.queue.remove(request)

    # What the node manager wishes

    def wish(self, wishes: Iterable[tuple[Order, int, bool]]) -> None:
        """The versions that shall be loaded, with how many replicas, and whether only to be warm."""
        wanted = {order.key: (order, replicas, kept) for order, replicas, kept in wishes}
        for key, served in self.models.items():
            if key not in wanted:
                served.wanted, served.kept = 0, False
        for key, (order, replicas, kept) in wanted.items():
            served = self.models.setdefault(key, Served(order))
            served.wanted, served.kept = 0 if kept else min(replicas, MAX_REPLICAS), kept
            stale = served.failure and time.monotonic() - served.failed_at > AGAIN_SECONDS
            if not served.unloaded and (not served.failure or stale):
                self._fill(served)

    def told(self) -> list[dict[str, Any]]:
        return [served.told() for served in self.models.values()]

    # Replicas

    def _dispatch(self, served: Served) -> None:
        for replica in served.replicas:
            if replica.idle and (batch := served.batch()):
                served.batches += 1
                replica.hand(batch)
        if served.queue and not served.living:
            self._fill(served)

    def _fill(self, served: Served, at_once: bool = False) -> None:
        """Start the replicas that are missing, now or a little later, and let those go that are too many."""
        least = max(served.wanted, int(bool(served.queue) or served.kept))
        for replica in served.living[max(least, 1) :]:
            if not replica.work:
                _retire(replica)
        missing = least - len(served.living)
        if missing <= 0 or served.timer:
            return
        if not at_once and (delay := DELAYS[min(served.deaths, len(DELAYS) - 1)]):
            served.timer = asyncio.get_running_loop().call_later(delay, self._fill_late, served)
            return
        self._make_room(served, served.order.size)
        for _ in range(missing):
            self._start(served)

    def _fill_late(self, served: Served) -> None:
        served.timer = None
        self._fill(served, at_once=True)

    def _start(self, served: Served) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                pid = self.fork(served.order, theirs.fileno())
                replica = Replica(pid, os.pidfd_open(pid))
            except OSError:
                ours.close()
                served.deaths += 1
                return
        served.failure = None
        served.replicas.append(replica)
        asyncio.get_running_loop().add_reader(replica.pidfd, self._ended, replica)
        task = asyncio.get_running_loop().create_task(self._follow(served, replica, ours))
        self.reading.add(task)
        task.add_done_callback(self.reading.discard)

    async def _follow(self, served: Served, replica: Replica, link: socket.socket) -> None:
        """Read what a replica says, from its start to its end."""
        reader, replica.writer = await asyncio.open_unix_connection(sock=link, limit=1 << 20)
        with suppress(OSError, BrokenFrame):
            while (said := await receive(reader)) is not None:
                self._heard(served, replica, said)
        replica.writer.close()
        _kill(replica)
        self._lost(served, replica)

    def _heard(self, served: Served, replica: Replica, said: Message) -> None:
        header, body = said
        if header.get("memory"):
            replica.memory = header["memory"]
            self._make_room(served)
        match header["state"]:
            case "ready":
                replica.ready, served.deaths, served.failure = True, 0, None
            case "failed":
                served.failure, served.failed_at = header["error"], time.monotonic()
                replica.leaving = True
                for request in _drained(served):
                    request.finish({"state": "failed", "error": served.failure})
            case "piece":
                if request := replica.work.get(header["id"]):
                    request.answer({"id": request.id, "state": "piece"}, body)
                return
            case _:
                if request := replica.work.pop(header["id"], None):
                    served.requests += 1
                    replica.requests += 1
                    served.used = time.monotonic()
                    request.finish({"state": header["state"], "error": header.get("error")}, body)
        self._dispatch(served)

    def _lost(self, served: Served, replica: Replica) -> None:
        """A replica has ended: what it worked on goes back to the head of the queue, and another one starts."""
        served.replicas.remove(replica)
        for request in reversed(replica.work.values()):
            request.replica = None
            if request.over:
                continue
            if request.tries >= TRIES:
                request.finish({"state": "error", "error": DIED})
            else:
                served.queue.appendleft(request)
        if not replica.leaving:
            served.restarts += 1
            served.deaths += 0 if replica.ready else 1
        if served.deaths >= TRIES and not any(one.ready for one in served.living):
            for request in _drained(served):
                request.finish({"state": "error", "error": NEVER_STARTED})
        if (served.wanted or served.kept) and not served.unloaded and not served.failure:
            self._fill(served)
        self._dispatch(served)
        self._forget(served)

    def _ended(self, replica: Replica) -> None:
        asyncio.get_running_loop().remove_reader(replica.pidfd)
        _kill(replica)  # its number stays taken until it is reaped, so the group that is killed here is its own
        with suppress(ChildProcessError):
            os.waitpid(replica.pid, 0)
        os.close(replica.pidfd)
        replica.pidfd = -1

    # Who leaves

    def on_time(self) -> None:
        """Let those go that nobody asked for a while, and those who are too many."""
        now = time.monotonic()
        tried = [one for one in self.models.values() if not one.wanted and not one.kept]
        tried.sort(key=lambda one: one.used)
        for place, served in enumerate(tried):
            many = len(tried) - place > MOST_TRIED
            if not served.busy and (many or now - served.used > IDLE_SECONDS):
                self._unload(served)
        for served in list(self.models.values()):
            self._forget(served)

    def _make_room(self, for_this: Served, more: int = 0) -> None:
        """Unload what was not asked for the longest while all take more memory than they may; tried ones first."""
        others = [one for one in self.models.values() if one is not for_this and one.replicas and not one.busy]
        for served in sorted(others, key=lambda one: (one.wanted > 0, one.used)):
            if sum(one.memory for one in self.models.values()) + more <= self.limit:
                return
            served.unloaded = True
            self._unload(served)

    def _unload(self, served: Served) -> None:
        for replica in served.living:
            _retire(replica)

    def _forget(self, served: Served) -> None:
        idle = not served.wanted and not served.kept and not served.replicas and not served.queue
        if idle and not (served.failure and time.monotonic() - served.failed_at < SAME_SECONDS):
            if served.timer:
                served.timer.cancel()
            self.models.pop(served.order.key, None)

    def close(self) -> None:
        """Kill every replica."""
        for served in self.models.values():
            for replica in served.replicas:
                _kill(replica)


def _retire(replica: Replica) -> None:
    """Let a replica that does nothing leave: it ends when nobody can ask it any more."""
    replica.leaving = True
    replica.memory = 0
    if replica.writer and replica.ready:
        replica.writer.write_eof()
    else:
        _kill(replica)


def _kill(replica: Replica) -> None:
    if replica.pidfd < 0:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(replica.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(replica.pidfd, signal.SIGKILL)


def _drained(served: Served) -> list[Request]:
    waiting = list(served.queue)
    served.queue.clear()
    return waiting

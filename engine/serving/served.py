"""What the pool knows: requests, replicas, and the versions that they belong to."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.catalogue import recipe
from engine.serving.frames import message
from engine.serving.orders import Order

BATCHED = {"labels", "values", "anomalies"}  # what a recipe answers with where several requests may be one call
MAX_BATCH = 32  # requests
MAX_BATCH_BYTES = 8 << 20
TRIES = 3  # of a request whose replica dies
DELAYS = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # before a replica is started again that died before it was ready


@dataclass(eq=False)
class Request:
    """Something that a client asked. `answer` is called with each piece and then with the last word, or never."""

    id: str
    key: str
    body: bytes
    answer: Callable[[dict[str, Any], bytes], None]
    stream: bool = False
    shape: str = ""  # what requests must have in common to be one call: their parameters
    tries: int = 0
    timer: asyncio.TimerHandle | None = None
    replica: Replica | None = None  # the one that works on it
    over: bool = False

    def finish(self, header: dict[str, Any], body: bytes = b"") -> None:
        """The last word, once."""
        if self.over:
            return
        self.over = True
        if self.timer:
            self.timer.cancel()
        self.answer({**header, "id": self.id}, body)


@dataclass(eq=False)
class Replica:
    """A process with a version in it, as seen from the model server."""

    pid: int
    pidfd: int
    writer: asyncio.StreamWriter | None = None
    ready: bool = False
    leaving: bool = False
    work: dict[str, Request] = field(default_factory=dict)
    memory: int = 0
    requests: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def idle(self) -> bool:
        return self.ready and not self.leaving and not self.work

    def hand(self, requests: list[Request]) -> None:
        """Give it work; it has none."""
        assert self.writer is not None
        for number, request in enumerate(requests, 1):
            self.work[request.id] = request
            request.replica = self
            request.tries += 1
            header = {"id": request.id, "more": number < len(requests), "stream": request.stream}
            self.writer.write(message(header, request.body))

    def say(self, header: dict[str, Any]) -> None:
        if self.writer:
            self.writer.write(message(header))


@dataclass(eq=False)
class Served:
    """A version that is loaded, or was asked for."""

    order: Order
    wanted: int = 0  # replicas that a deployment asks for; 0: it is tried, or leaves
    kept: bool = False  # warm without being deployed, because it was in use lately
    unloaded: bool = False  # for want of memory; the next request loads it again
    replicas: list[Replica] = field(default_factory=list)
    queue: deque[Request] = field(default_factory=deque)
    requests: int = 0
    batches: int = 0
    restarts: int = 0
    deaths: int = 0  # in a row, before it was ready
    failure: dict[str, Any] | None = None
    failed_at: float = 0.0
    timer: asyncio.TimerHandle | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def living(self) -> list[Replica]:
        return [replica for replica in self.replicas if not replica.leaving]

    @property
    def busy(self) -> bool:
        return bool(self.queue) or any(replica.work for replica in self.replicas)

    @property
    def memory(self) -> int:
        return sum(replica.memory for replica in self.replicas)

    @property
    def state(self) -> str:
        """ready: it answers. loading, unloaded: the next request waits a moment. failed: see `failure`."""
        if any(replica.ready for replica in self.living):
            return "ready"
        if self.failure:
            return "failed"
        return "unloaded" if self.unloaded else "loading"

    def batch(self) -> list[Request]:
        """The requests at the head of the queue that may be one call of the predictor; none when nothing waits."""
        taken: list[Request] = []
        weight = 0
        together = recipe(self.order.recipe).output in BATCHED
        while self.queue and len(taken) < MAX_BATCH:
            first = self.queue[0]
            alone = not together or first.stream or first.tries > 0  # what was there when a replica died, by itself
            weight += len(first.body)
            other = bool(taken) and first.shape != taken[0].shape
            if taken and (alone or other or weight > MAX_BATCH_BYTES):
                break
            taken.append(self.queue.popleft())
            if alone:
                break
        return taken

    def told(self) -> dict[str, Any]:
        """As the node manager gets it."""
        replicas = [
            {"pid": one.pid, "ready": one.ready, "memory": one.memory, "requests": one.requests} for one in self.living
        ]
        return {"key": self.order.key, "state": self.state, "error": self.failure, "replicas": replicas,
                "memory": self.memory, "requests": self.requests, "batches": self.batches, "restarts": self.restarts,
                "waiting": len(self.queue), "wanted": self.wanted, "idle": time.monotonic() - self.used}  # fmt: skip

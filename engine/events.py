"""Where a run's events go: the `Sink`, and the one that writes JSON lines to a file descriptor.

Reporting every step must not slow the steps down, nor wake the reader for each: lines are put into a
queue, and a thread writes them every 100 ms, so a slow reader never blocks the training loop.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from math import isfinite
from typing import Any, Protocol

from engine.protocol import Event, decode, encode

FLUSH_SECONDS = 0.1
PIPE_BYTES = 1 << 20
# With nobody reading, the loop goes on until this many lines wait; then it waits too, to bound memory.
MAX_WAITING = 200_000


class Sink(Protocol):
    """What the engine reports to."""

    broken: bool  # nobody reads any more

    def emit(self, event: Event, **fields: Any) -> None: ...

    def step(self, step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> None: ...

    def close(self) -> None: ...


def finite(value: float) -> float | None:
    """The value, or None when it is not a number that JSON knows."""
    return value if isfinite(value) else None


def step_line(step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> str:
    """A step event as text. By hand, because json.dumps would cost several times as much per step."""
    values = ",".join([f'"{k}":{v!r}' if isfinite(v) else f'"{k}":null' for k, v in metrics.items()])
    return (
        f'{{"event":"step","step":{step},"epoch":{epoch:.6f},"time":{time.time():.4f},'
        f'"metrics":{{{values}}},"rate":{rate:.6g}}}\n'
    )


class StreamSink:
    """Writes events to a file descriptor. Steps within 100 ms, everything else at once."""

    def __init__(self, fd: int) -> None:
        self.broken = False
        self._fd = fd
        self._waiting: deque[bytes | str] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._seen_step = False
        _enlarge(fd)
        self._writer = threading.Thread(target=self._write_on, name="events", daemon=True)
        self._writer.start()

    def emit(self, event: Event, **fields: Any) -> None:
        self._waiting.append(encode(event, **fields))
        self._wake.set()

    def step(self, step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> None:
        self._waiting.append(step_line(step, epoch, metrics, rate))
        if not self._seen_step:  # somebody waits for the first sign of life
            self._seen_step = True
            self._wake.set()
        if len(self._waiting) > MAX_WAITING:
            self._wait_for_reader()

    def close(self) -> None:
        """Write what waits; returns when the reader has taken it or is gone."""
        self._closing = True
        self._wake.set()
        self._writer.join()

    def _wait_for_reader(self) -> None:
        while len(self._waiting) > MAX_WAITING // 2 and not self.broken:
            time.sleep(0.01)

    def _write_on(self) -> None:
        while True:
            closing = self._closing  # read before the queue: what came before close() is still written
            self._drain()
            if closing:
                return
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()

    def _drain(self) -> None:
        if not self._waiting:
            return
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not self.broken:
            self._write(b"".join(x if isinstance(x, bytes) else x.encode() for x in lines))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:  # the reader is gone, or the file's disk is full: the loop sees `broken`
            self.broken = True


class SilentSink:
    """Of the processes of one run only the first reports; this is for the others."""

    broken = False

    def emit(self, event: Event, **fields: Any) -> None:
        """Rank 0 says the same."""

    def step(self, step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> None:
        """Rank 0 says the same."""

    def close(self) -> None:
        """Nothing waits."""


class ListSink:
    """Keeps events in memory, as the decoded dictionaries that a reader would get."""

    def __init__(self) -> None:
        self.broken = False
        self.events: list[dict[str, Any]] = []

    def emit(self, event: Event, **fields: Any) -> None:
        self._keep(encode(event, **fields))

    def step(self, step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> None:
        self._keep(step_line(step, epoch, metrics, rate).encode())

    def close(self) -> None:
        """Nothing waits."""

    def of(self, event: Event) -> list[dict[str, Any]]:
        """The events of one kind, in order."""
        return [e for e in self.events if e["event"] == event]

    def _keep(self, line: bytes) -> None:
        event = decode(line)
        if event is None:
            raise ValueError(f"not an event: {line!r}")
        self.events.append(event)


def _enlarge(fd: int) -> None:
    """Ask for a pipe that holds seconds of events; a file, or a system that refuses, stays as it is."""
    try:
        os.set_blocking(fd, True)
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass

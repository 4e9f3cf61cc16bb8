"""Commands from the supervisor, and the dead man's switch.

The supervisor holds the other end of the control stream. When it dies, the system closes that end, the
stream ends here, and the run kills its whole process group: nothing may train without a supervisor. One that
hangs, or is stopped, closes nothing: so it also sends {"lease": seconds}, and when the next word does not come
in that time the run ends as well.
"""

from __future__ import annotations

import json
import math
import os
import select
import signal
import threading
import time
from typing import NoReturn

from engine.protocol import Command

# A command that ends the run is not undone by one that came later and ends it more gently.
_RANK = {Command.CHECKPOINT: 0, Command.PAUSE: 1, Command.STOP: 2, Command.CANCEL: 3}


class Interrupted(Exception):
    """A command that ends the run arrived in the middle of something long; the loop carries it out."""


class Control:
    """The one command that waits to be carried out, if any."""

    def __init__(self, fd: int | None = None) -> None:
        """Listen on `fd`; None: there is no supervisor, commands come by `request` only."""
        self.pending: Command | None = None
        self._lock = threading.Lock()
        if fd is not None:
            threading.Thread(target=_listen, args=(fd, self), name="control", daemon=True).start()

    def request(self, command: Command) -> None:
        """Note a command; it is carried out at the next safe point."""
        with self._lock:
            if self.pending is None or _RANK[command] > _RANK[self.pending]:
                self.pending = command

    def take(self) -> Command | None:
        """The waiting command, which no longer waits then."""
        with self._lock:
            command, self.pending = self.pending, None
            return command

    def drop(self, command: Command) -> None:
        """Forget a command that is carried out now, unless a stronger one came since it was looked at."""
        with self._lock:
            if self.pending is command:
                self.pending = None

    def breathe(self) -> None:
        """Called inside long work that can be given up: raises Interrupted when the run is to end."""
        if self.pending is not None and self.pending is not Command.CHECKPOINT:
            raise Interrupted


def _listen(fd: int, control: Control) -> None:
    # os.read and not a buffered reader: a thread blocked inside a buffered reader aborts the exit.
    rest, deadline = b"", math.inf
    while _readable(fd, deadline) and (chunk := _read(fd)):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if seconds := _lease(line):
                deadline = time.monotonic() + seconds
            elif command := _parse(line):
                control.request(command)
    _die()


def _readable(fd: int, deadline: float) -> bool:
    """Wait for the next word; False when the lease ran out before it came."""
    left = None if math.isinf(deadline) else max(0.0, deadline - time.monotonic())
    return bool(select.select([fd], [], [], left)[0])


def _lease(line: bytes) -> float | None:
    """The seconds in a line that prolongs the lease; None for any other line."""
    try:
        return float(json.loads(line)["lease"])
    except (ValueError, KeyError, TypeError):
        return None


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""


def _parse(line: bytes) -> Command | None:
    """The command in a line; None for what is not one: a run is not to die of a garbled line."""
    try:
        return Command(json.loads(line)["command"])
    except (ValueError, KeyError, TypeError):
        return None


def _die() -> NoReturn:
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)

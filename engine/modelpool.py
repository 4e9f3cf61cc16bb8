"""The model processes of the warm server: one for each model version in use, the least recently used one leaves."""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from engine import child, sockets
from engine.forkrequests import text, texts
from engine.protocol import FailureCode

if TYPE_CHECKING:
    from engine.forkserver import Child

MAX_MODELS = 3  # model processes kept at once
RETIRED_SECONDS = 60.0  # for a model process to finish what it was given before it is killed


@dataclass(eq=False)
class Model:
    """A model process and the channel through which it is given connections."""

    key: str
    channel: socket.socket
    child: Child
    kill_at: float | None = None  # monotonic time; set when it was told to leave


class ModelPool:
    """See the module. `fork` makes a process that runs its argument, `kill` ends one at once."""

    def __init__(
        self,
        fork: Callable[[Callable[[], NoReturn]], Child],
        kill: Callable[[Child], None],
        settings: Mapping[str, str | None],
    ) -> None:
        self._fork, self._kill, self._settings = fork, kill, settings
        self._models: OrderedDict[str, Model] = OrderedDict()  # the least recently used one first
        self._leaving: list[Model] = []

    def get(self, request: dict[str, Any]) -> Model:
        """The process for a request's key, started when there is none."""
        key = text(request, "key")
        if key not in self._models:
            self._models[key] = self._start(key, request)
            while len(self._models) > MAX_MODELS:
                self._retire(next(iter(self._models.values())))
        self._models.move_to_end(key)
        return self._models[key]

    def hand_over(self, model: Model, connection: socket.socket) -> None:
        """Give a client's connection to a process."""
        try:
            socket.send_fds(model.channel, [b"c"], [connection.fileno()])
        except BlockingIOError:
            with suppress(OSError):
                sockets.send_frame(connection, {"error": _BUSY})
        except BrokenPipeError:
            self._retire(model)  # it is just leaving; whoever asked sees the end and asks again

    def end(self, request: dict[str, Any]) -> None:
        """End a process at once; the request's `pid` keeps its successor from being hit."""
        model = self._models.get(text(request, "key"))
        if model and model.child.pid == request.get("pid"):
            self._retire(model)
            self._kill(model.child)

    def on_time(self, now: float) -> None:
        """Kill what was told to leave and does not."""
        for model in self._leaving:
            if model.kill_at is not None and model.kill_at < now:
                self._kill(model.child)

    def forget(self, pid: int) -> None:
        """A process has ended."""
        self._leaving = [model for model in self._leaving if model.child.pid != pid]
        for model in list(self._models.values()):
            if model.child.pid == pid:
                model.channel.close()
                del self._models[model.key]

    def _start(self, key: str, request: dict[str, Any]) -> Model:
        artifact, recipe = Path(text(request, "artifact")), text(request, "recipe")
        checksums = texts(request, "checksums")
        settings = {**self._settings, "CUDA_VISIBLE_DEVICES": ""}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            fd = theirs.fileno()
            try:
                forked = self._fork(lambda: child.serve(artifact, recipe, checksums, settings, fd))
            except OSError:
                ours.close()
                raise
        return Model(key, ours, forked)

    def _retire(self, model: Model) -> None:
        """Let a process finish what it was given and leave."""
        self._models.pop(model.key, None)
        model.channel.close()
        model.kill_at = time.monotonic() + RETIRED_SECONDS
        self._leaving.append(model)


_BUSY = {
    "code": FailureCode.WORKER_LOST,
    "message": "Too many requests wait for this model.",
    "hint": "Try again in a moment.",
}

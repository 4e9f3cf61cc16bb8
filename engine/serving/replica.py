"""A replica: a process that loads one artifact and answers what the model server hands to it, until that closes.

Requests that waited together come together. A batch that fails is tried again one by one, so that a bad input spoils
its own request alone. Between two pieces of a stream it listens for the word that nobody reads it any more.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from engine.catalogue import recipe
from engine.protocol import EngineError, FailureCode
from engine.serve import Predictor, explain, inputs_of, load_predictor
from engine.serving.frames import message, read_message, unpack
from engine.serving.orders import Order, private_bytes
from engine.serving.warming import warm_up
from engine.sockets import MAX_PART, BrokenFrame

LOAD_FAILED = 1
WEIGHED_SECONDS = 10.0  # between two looks at how much memory this takes

Tried = tuple[dict[str, Any], bytes]  # the header and the body of an answer, without its id
Work = tuple[dict[str, Any], bytes]


class Replica:
    """See the module."""

    def __init__(self, order: Order, link: socket.socket) -> None:
        self.order, self.link = order, link
        self.stream = link.makefile("rb")
        self.takes_rows = recipe(order.recipe).takes == "rows"
        self.weighed = 0.0
        self.predictor: Predictor

    def run(self) -> int:
        """Load, answer until nobody is there any more; returns the exit code."""
        try:
            self.predictor = load_predictor(self.order.artifact_path, self.order.recipe, self.order.checksums)
        except Exception as error:
            self._send({"state": "failed", "error": explain(error)})
            return LOAD_FAILED
        warm_up(self.predictor, recipe(self.order.recipe))
        self._send({"state": "ready", "memory": self._weight()})
        with suppress(OSError, BrokenFrame):  # the model server is gone
            while work := self._next():
                self._answer(work)
        return 0

    def _next(self) -> list[Work]:
        """The requests that come next, together; none when the model server closed."""
        found: list[Work] = []
        while (got := read_message(self.stream)) is not None:
            if "cancel" in got[0]:
                continue  # it was answered in the meantime
            found.append(got)
            if not got[0].get("more"):
                return found
        return []

    def _answer(self, work: list[Work]) -> None:
        if work[0][0].get("stream"):
            self._stream(*work[0])
            return
        for (header, _), (answer, body) in zip(work, self._together(work), strict=True):
            self._send({**answer, "id": header["id"], "memory": self._weight()}, body)

    def _together(self, work: list[Work]) -> list[Tried]:
        """The answers to all of them: by one call of the predictor if that goes well, else by one for each."""
        if len(work) == 1:
            return [self._alone(work[0])]
        try:
            taken = [self._taken(one) for one in work]
            flat = [given for inputs, _ in taken for given in inputs]
            outputs = self.predictor.predict(flat, taken[0][1])
            rest = iter(outputs)
            return [_packed([next(rest) for _ in inputs]) for inputs, _ in taken]
        except Exception:  # one of them is to blame; the others shall not hear of it
            return [self._alone(one) for one in work]

    def _alone(self, one: Work) -> Tried:
        return _tried(lambda: self.predictor.predict(*self._taken(one)))

    def _taken(self, one: Work) -> tuple[list[Any], dict[str, Any]]:
        try:
            header, parts = unpack(one[1])
        except BrokenFrame as error:
            raise EngineError(FailureCode.BAD_DATA, str(error), "Send fewer or smaller inputs.") from None
        return inputs_of(header, parts, self.takes_rows), header.get("parameters") or {}

    def _stream(self, header: dict[str, Any], body: bytes) -> None:
        """Send each piece as it is made, then the whole; stop when told so."""
        last: list[dict[str, Any]] = []

        def whole() -> list[dict[str, Any]]:
            inputs, parameters = self._taken((header, body))
            if not hasattr(self.predictor, "stream"):
                return self.predictor.predict(inputs, parameters)
            for piece in self.predictor.stream(inputs[0], parameters):
                if "completion" in piece:
                    last.append(piece)
                    continue
                if piece["piece"]:
                    self._send({"id": header["id"], "state": "piece"}, json.dumps(piece).encode())
                if self._told_to_stop():
                    raise _Stopped
            return last

        try:
            answer, made = _tried(whole)
        except _Stopped:
            answer, made = {"state": "stopped"}, b""
        self._send({**answer, "id": header["id"], "memory": self._weight()}, made)

    def _told_to_stop(self) -> bool:
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        if not poll.poll(0):
            return False
        read_message(self.stream)  # nothing else is said to a replica at work: a cancel, or the end
        return True

    def _send(self, header: dict[str, Any], body: bytes = b"") -> None:
        self.link.sendall(message(header, body))

    def _weight(self) -> int | None:
        """Bytes of this process alone; None when it was weighed a moment ago."""
        now = time.monotonic()
        if self.weighed and now - self.weighed < WEIGHED_SECONDS:
            return None
        self.weighed = now
        return private_bytes(os.getpid())


class _Stopped(BaseException):
    """Nobody reads the stream any more."""


def _tried(make: Callable[[], list[dict[str, Any]]]) -> Tried:
    """Whatever a model does with these inputs is an answer to this request, not the end of the process."""
    try:
        return _packed(make())
    except Exception as error:
        return {"state": "error", "error": explain(error)}, b""


def _packed(outputs: list[dict[str, Any]]) -> Tried:
    """Outputs as a body, since pictures and tables can be large."""
    body = json.dumps(outputs).encode()
    if len(body) > MAX_PART:
        raise EngineError(
            FailureCode.BAD_DATA, f"The answer is larger than {MAX_PART >> 20} MiB.", "Send fewer inputs at a time."
        )
    return {"state": "done"}, body


def serve(order: Order, fd: int) -> int:
    """Be a replica that talks through this socket."""
    with socket.socket(fileno=fd) as link:
        return Replica(order, link).run()

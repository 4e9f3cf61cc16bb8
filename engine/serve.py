"""A model process: loads one artifact and answers requests for it, one at a time, until it is idle too long.

It gets connections through a channel from the warm server. On each it says `ready` when the request's turn
has come, reads one frame with the inputs, and answers with one frame.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from engine.catalogue import load, recipe
from engine.protocol import EngineError, FailureCode
from engine.rowfiles import rows_of
from engine.sockets import MAX_PART, BrokenFrame, read_frame, send_frame

IDLE_SECONDS = 120.0
CLIENT_SECONDS = 10.0  # for a client whose turn it is to send its inputs or to take its answer
LOAD_FAILED = 1


class Predictor(Protocol):
    """What a recipe's predictor can do once it is loaded."""

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]: ...


def serve_channel(
    artifact: Path, name: str, checksums: Mapping[str, str], channel_fd: int, idle_seconds: float = IDLE_SECONDS
) -> int:
    """Answer until nobody asked for `idle_seconds` or the channel is closed; returns the exit code."""
    channel = socket.socket(fileno=channel_fd)
    try:
        predictor = load_predictor(artifact, name, checksums)
    except Exception as error:
        # Told to everyone who waits for this model; the next request tries to load it again.
        failure = explain(error)
        patience = 1.0  # whoever caused the start may not have been handed over yet
        while connection := _next(channel, patience):
            patience = 0.0
            with connection, suppress(OSError):
                send_frame(connection, {"state": "failed", "error": failure})
        return LOAD_FAILED
    takes_rows = recipe(name).takes == "rows"
    while connection := _next(channel, idle_seconds):
        with connection:
            _answer(connection, predictor, takes_rows)
    return 0


def load_predictor(artifact: Path, name: str, checksums: Mapping[str, str]) -> Predictor:
    """Check an artifact's files against their SHA-256 and load it; EngineError says what is wrong."""
    kind = recipe(name)
    if kind.predictor is None:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"Results of '{name}' can't be tried.", "Choose a model of another recipe."
        )
    for file, expected in checksums.items():
        _check(artifact / file, expected)
    return load(kind.predictor).load(artifact, "cpu")


def _check(file: Path, expected: str) -> None:
    try:
        with file.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(f"{file.name} can't be read ({error.strerror}).") from error
    if actual != expected:
        raise _damaged(f"{file.name} is not what was saved.")


def _damaged(reason: str) -> EngineError:
    return EngineError(
        FailureCode.BAD_DATA,
        f"The model's files are damaged: {reason}",
        "Restore them from a backup, or train the model again.",
    )


def _next(channel: socket.socket, patience: float) -> socket.socket | None:
    """The next connection; None when none came in time or the channel is closed."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    if not poll.poll(int(patience * 1000)):
        return None
    _, fds, _, _ = socket.recv_fds(channel, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not fds:
        return None
    connection = socket.socket(fileno=fds[0])
    connection.settimeout(CLIENT_SECONDS)
    return connection


def _answer(connection: socket.socket, predictor: Predictor, takes_rows: bool) -> None:
    try:
        send_frame(connection, {"state": "ready", "pid": os.getpid()})
        with connection.makefile("rb") as stream:
            frame = read_frame(stream)
        if frame is not None:
            send_frame(connection, *_predict(predictor, *frame, takes_rows))
    except BrokenFrame as error:
        problem = EngineError(FailureCode.BAD_DATA, str(error), "Send fewer or smaller inputs.")
        with suppress(OSError):
            send_frame(connection, {"error": explain(problem)})
    except OSError:
        pass  # the client is gone, or does not go on


def _predict(
    predictor: Predictor, header: dict[str, Any], parts: list[bytes], takes_rows: bool
) -> tuple[dict[str, Any], list[bytes]]:
    """The frame that answers one: outputs are its only part, since pictures and tables can be large."""
    try:
        outputs = predictor.predict(_inputs(header, parts, takes_rows), header.get("parameters") or {})
        answer = json.dumps(outputs).encode()
        if len(answer) > MAX_PART:
            raise EngineError(
                FailureCode.BAD_DATA, f"The answer is larger than {MAX_PART >> 20} MiB.", "Send fewer inputs at a time."
            )
    except Exception as error:
        # Whatever a model does with these inputs is an answer to this request, not the end of the process.
        return {"error": explain(error)}, []
    return {"state": "done"}, [answer]


def _inputs(header: dict[str, Any], parts: list[bytes], takes_rows: bool) -> list[Any]:
    """The inputs in their order: texts stand in the header, each null stands for the next binary part; tables come as
    files of rows."""
    rest = iter(parts)
    try:
        inputs = [next(rest) if given is None else str(given) for given in header["inputs"]]
    except (KeyError, TypeError, StopIteration):
        raise EngineError(FailureCode.BAD_DATA, "The request's inputs are not complete.", "Send it again.") from None
    if not takes_rows:
        return inputs
    files = [given if isinstance(given, bytes) else given.encode() for given in inputs]
    return [rows_of(file, number) for number, file in enumerate(files)]


def explain(error: Exception) -> dict[str, str]:
    """An error as the client gets it."""
    if isinstance(error, EngineError):
        return {"code": error.code, "message": error.message, "hint": error.hint}
    traceback.print_exception(error)
    return {
        "code": FailureCode.CODE_ERROR,
        "message": f"The model failed: {type(error).__name__}: {error}",
        "hint": "The traceback stands in the log of the node.",
    }

"""Asks a model process for predictions. Light, and safe to use from several threads at once."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from engine import sockets
from engine.protocol import EngineError, FailureCode

CONNECT_SECONDS = 1.0
Given = str | bytes | list[dict[str, Any]]
ATTEMPTS = 4  # a model process may leave, idle, just when it is asked


class PredictionUnavailable(EngineError):
    """There is no model process to ask, or it died."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(FailureCode.WORKER_LOST, message, hint)


class PredictionTimeout(EngineError):
    """The answer did not come in time."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(FailureCode.TIME_LIMIT, message, hint)


class _Gone(Exception):
    """The model process ended before the request's turn came: asking again is safe."""


def predict(
    *,
    socket_path: Path,
    artifact: Path,
    recipe: str,
    key: str,
    inputs: Sequence[Given],
    parameters: Mapping[str, Any] | None = None,
    checksums: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> list[dict[str, Any]]:
    """Predict with an artifact folder, one output for each input: a text, the bytes of a file, or a table as rows
    ([{column: value}, …]) or as a file of rows.

    `key` names the model version: requests with one key share a process. `checksums` maps file names of the
    artifact to their SHA-256, which are checked when it is loaded. `timeout` is in seconds, loading included.

    Raises EngineError as the recipe's predictor or the loading raised it, PredictionUnavailable without a
    warm server or when the process died, PredictionTimeout (the process is ended then, unless the request
    only waited behind others).
    """
    sent = [json.dumps(given).encode() if isinstance(given, list) else given for given in inputs]
    _check_size(sent)
    deadline = time.monotonic() + timeout
    order = {
        "op": "serve",
        "artifact": str(artifact.absolute()),
        "recipe": recipe,
        "key": key,
        "checksums": dict(checksums or {}),
    }
    request = {"inputs": [i if isinstance(i, str) else None for i in sent], "parameters": dict(parameters or {})}
    parts = [given for given in sent if isinstance(given, bytes)]
    for _ in range(ATTEMPTS):
        with suppress(_Gone):
            return _ask(socket_path, order, request, parts, deadline)
    raise PredictionUnavailable(
        "The model process ended each time it was started.",
        "The log of the node says why; memory may be short.",
    )


def _ask(
    socket_path: Path, order: dict[str, Any], request: dict[str, Any], parts: list[bytes], deadline: float
) -> list[dict[str, Any]]:
    pid = None
    turn = False
    with _connect(socket_path) as connection, connection.makefile("rb") as stream:
        try:
            pid = _order(connection, stream, order, deadline)
            turn = _await_turn(connection, stream, deadline)
            _limit(connection, deadline)
            sockets.send_frame(connection, request, parts)
            return _outputs(connection, stream, deadline)
        except TimeoutError:
            # Waiting for a turn may be loading or standing behind others, who must not suffer for it.
            if turn:
                _end_model(socket_path, order["key"], pid)
            raise _too_late(turn) from None
        except (ConnectionError, sockets.BrokenFrame):
            if not turn:
                raise _Gone from None
            raise PredictionUnavailable(
                "The model process died while it worked on this request.",
                "Try smaller inputs; the log of the node says why it died.",
            ) from None


def _connect(socket_path: Path) -> socket.socket:
    try:
        return sockets.connect(socket_path, CONNECT_SECONDS)
    except OSError as error:
        raise PredictionUnavailable(
            "No model process can be started: no node runs on this machine.",
            "Start one with 'make run', or 'python manage.py node' beside a web server that runs alone.",
        ) from error


def _order(connection: socket.socket, stream: BinaryIO, order: dict[str, Any], deadline: float) -> int | None:
    """Have the warm server hand this connection to the model process; its id."""
    _limit(connection, deadline)
    sockets.send_request(connection, order)
    reply = sockets.read_line(stream)
    if reply is None:
        raise _Gone
    if "error" in reply:
        raise PredictionUnavailable(reply["error"], "Try again in a moment.")
    return reply.get("pid")


def _await_turn(connection: socket.socket, stream: BinaryIO, deadline: float) -> bool:
    _limit(connection, deadline)
    frame = sockets.read_frame(stream)
    if frame is None:
        raise _Gone
    _raise_error(frame[0])
    return True


def _outputs(connection: socket.socket, stream: BinaryIO, deadline: float) -> list[dict[str, Any]]:
    _limit(connection, deadline)
    frame = sockets.read_frame(stream)
    if frame is None:
        raise sockets.BrokenFrame
    header, parts = frame
    _raise_error(header)
    return json.loads(parts[0])


def _raise_error(header: dict[str, Any]) -> None:
    if error := header.get("error"):
        raise EngineError(FailureCode(error["code"]), error["message"], error["hint"])


def _limit(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


def _too_late(turn: bool) -> PredictionTimeout:
    if turn:
        return PredictionTimeout(
            "The model took too long and was stopped.", "Send fewer inputs or ask for a shorter result."
        )
    return PredictionTimeout("The model was still loading or busy with other requests.", "Try again in a moment.")


def _end_model(socket_path: Path, key: str, pid: int | None) -> None:
    with suppress(OSError, sockets.BrokenFrame), sockets.connect(socket_path, CONNECT_SECONDS) as connection:
        sockets.send_request(connection, {"op": "unserve", "key": key, "pid": pid})
        with connection.makefile("rb") as stream:
            sockets.read_line(stream)


def _check_size(inputs: Sequence[str | bytes]) -> None:
    sizes = [len(given) for given in inputs if isinstance(given, bytes)]
    letters = sum(len(given) for given in inputs if isinstance(given, str))
    if (
        len(inputs) > sockets.MAX_PARTS
        or any(size > sockets.MAX_PART for size in sizes)
        or sum(sizes) > sockets.MAX_TOTAL
        or letters > sockets.MAX_HEADER // 8  # a letter may take up to six bytes in JSON, a rare one twelve
    ):
        raise EngineError(
            FailureCode.BAD_DATA,
            f"A request may hold {sockets.MAX_PARTS} inputs, {sockets.MAX_PART >> 20} MiB each and "
            f"{sockets.MAX_TOTAL >> 20} MiB together, and {sockets.MAX_HEADER // 8:,} characters of text.",
            "Send them in several requests.",
        )

"""Asks a model for predictions, through the model server. Light, and safe to use from several threads at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import sockets
from engine.protocol import EngineError, FailureCode
from engine.serving.client import NoServer, client_of
from engine.serving.frames import pack
from engine.serving.orders import Order

Given = str | bytes | list[dict[str, Any]]


class PredictionUnavailable(EngineError):
    """There is no model process to ask, or it died."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(FailureCode.WORKER_LOST, message, hint)


class PredictionTimeout(EngineError):
    """The answer did not come in time."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(FailureCode.TIME_LIMIT, message, hint)


class ModelNotLoaded(EngineError):
    """The version itself can't be loaded: its files are damaged, or are none of its recipe."""


def predict(
    *,
    socket_path: Path,
    order: Callable[[], Order],
    key: str,
    inputs: Sequence[Given],
    parameters: Mapping[str, Any] | None = None,
    timeout: float = 30.0,
) -> list[dict[str, Any]]:
    """Predict with a version, one output for each input: a text, the bytes of a file, or a table as rows
    ([{column: value}, …]) or as a file of rows.

    `key` names the version; `order` is called when the model server does not have it yet. `timeout` is in seconds,
    loading included.

    Raises EngineError as the recipe's predictor raised it, ModelNotLoaded as the loading raised it,
    PredictionUnavailable without a model server or when the process died again and again, PredictionTimeout (the
    process is ended then, unless the request only waited behind others).
    """
    body = _body(inputs, parameters)
    client = client_of(socket_path)
    asked: dict[str, Any] = {"op": "predict", "key": key}
    if parameters:
        asked["shape"] = json.dumps(dict(parameters), sort_keys=True)[:1000]
    try:
        header, made = client.ask(asked, body, timeout)
        if header["state"] == "unknown":
            header, made = client.ask({**asked, "order": order().as_dict()}, body, timeout)
    except NoServer as error:
        raise _nobody() from error
    except TimeoutError:
        raise _too_late(False) from None
    _check(header)
    return json.loads(made)


def stream(
    *,
    socket_path: Path,
    order: Order,
    inputs: Sequence[Given],
    parameters: Mapping[str, Any] | None = None,
    timeout: float = 120.0,
) -> Iterator[dict[str, Any]]:
    """The pieces of an answer to one input as they are made, {"piece": …}, and at last the output as `predict` gives
    it. Closing it stops the model. Raises what `predict` raises, at the first step or later."""
    asked = {"op": "predict", "key": order.key, "order": order.as_dict(), "stream": True}
    messages = client_of(socket_path).stream(asked, _body(inputs, parameters), timeout)
    try:
        for header, made in messages:
            if header["state"] == "piece":
                yield json.loads(made)
            else:
                _check(header)
                yield json.loads(made)[0]
    except NoServer as error:
        raise _nobody() from error
    except TimeoutError:
        raise _too_late(False) from None
    except (OSError, sockets.BrokenFrame):
        raise PredictionUnavailable("The model server ended while it answered.", "Ask again in a moment.") from None
    finally:
        messages.close()  # type: ignore[attr-defined]


def _check(header: Mapping[str, Any]) -> None:
    """Raise what an answer says went wrong."""
    match header["state"]:
        case "late":
            raise _too_late(header["turn"])
        case "refused":
            raise PredictionUnavailable(header["message"], "Try again in a moment.")
        case "failed" | "error":
            error = header["error"]
            code = FailureCode(error["code"])
            if header["state"] == "failed":
                raise ModelNotLoaded(code, error["message"], error["hint"])
            if code is FailureCode.WORKER_LOST:
                raise PredictionUnavailable(error["message"], error["hint"])
            raise EngineError(code, error["message"], error["hint"])


def _body(inputs: Sequence[Given], parameters: Mapping[str, Any] | None) -> bytes:
    sent = [json.dumps(given).encode() if isinstance(given, list) else given for given in inputs]
    _check_size(sent)
    texts = [given if isinstance(given, str) else None for given in sent]
    return pack(
        {"inputs": texts, "parameters": dict(parameters or {})}, [given for given in sent if isinstance(given, bytes)]
    )


def _nobody() -> PredictionUnavailable:
    return PredictionUnavailable(
        "No model process can be started: no node runs on this machine.",
        "Start one with 'make run', or 'python manage.py node' beside a web server that runs alone.",
    )


def _too_late(turn: bool) -> PredictionTimeout:
    if turn:
        return PredictionTimeout(
            "The model took too long and was stopped.", "Send fewer inputs or ask for a shorter result."
        )
    return PredictionTimeout("The model was still loading or busy with other requests.", "Try again in a moment.")


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

"""Answers that arrive piece by piece, as server-sent events: `piece` for each, then `done`, or `problem`.

The model server is read by a thread, which hands each piece to the event loop. When the viewer goes the connection is
closed, and the model stops.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from django.db import connection
from django.http import StreamingHttpResponse

from common.errors import InvalidInputError, ProblemError, UnavailableError
from common.numbers import finite
from common.paths import model_socket
from common.problems import details
from engine.predict import stream
from engine.protocol import EngineError
from registry import shadows
from registry.loading import order_of
from registry.logged import writing
from registry.logged.writing import Asked
from registry.prediction import let_go, prepared, recipe_of, told
from registry.routing import Choice

AT_ONCE = 32
TIMEOUT_SECONDS = 120.0

_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stream")
_places = threading.BoundedSemaphore(AT_ONCE)

Event = tuple[str, dict[str, Any]]


def can_stream(recipe: Any) -> bool:
    """Whether the recipe's versions write texts, which arrive piece by piece."""
    return bool(recipe.output == "text")


class Telling:
    """One answer on its way: first what can still be refused with a status of its own, then the events.

    Put down and sent to shadows as any answer is, unless it is not `logged`: it was only tried.
    """

    open = False

    def __init__(self, choice: Choice, asked: Asked, logged: bool = True) -> None:
        """Ask for it. Raises what `prediction.predict` raises for inputs and versions, and what it meets until the
        first piece is there."""
        recipe = recipe_of(choice.version)
        if not can_stream(recipe) or len(asked.inputs) != 1:
            message = "Only an answer to one text can be told piece by piece."
            hint = "Send one input to a model that writes texts, or leave 'stream' out."
            raise InvalidInputError(message, hint, fields={"stream": [message]})
        if not _places.acquire(blocking=False):
            raise UnavailableError("Too many answers are being told piece by piece.", "Try again in a moment.")
        self.open = True
        self.choice, self.asked, self.logged, self.started = choice, asked, logged, time.monotonic()
        try:
            inputs = [prepared(asked.inputs[0], recipe, 1)]
            order = order_of(choice.version)
            let_go()
            where = {"socket_path": model_socket(), "order": order, "timeout": TIMEOUT_SECONDS}
            self.pieces: Iterator[dict[str, Any]] = stream(**where, inputs=inputs, parameters=asked.parameters)
            self.first = self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> dict[str, Any] | None:
        try:
            return next(self.pieces, None)
        except EngineError as error:
            problem = told(self.choice.version, error)
            if self.logged and isinstance(problem, UnavailableError):
                writing.write(self.asked, self.choice, [], self._latency(), error=problem.message)
            raise problem from error

    def _latency(self) -> float:
        return round((time.monotonic() - self.started) * 1000, 1)

    def _next_alone(self) -> dict[str, Any] | None:
        """The next piece, in a thread that leaves no connection to the database behind."""
        try:
            return self._next()
        finally:
            if not connection.in_atomic_block:
                connection.close()

    async def events(self) -> AsyncIterator[Event]:
        """Each as (name, data). Closed early, it stops the model."""
        loop = asyncio.get_running_loop()
        piece = self.first
        try:
            while piece is not None and "completion" not in piece:
                yield "piece", piece
                piece = await loop.run_in_executor(_threads, self._next_alone)
            if piece is not None:
                yield "done", await loop.run_in_executor(_threads, self._finish, piece)
        except ProblemError as error:
            yield "problem", details(error, "")
        finally:
            await loop.run_in_executor(_threads, self.close)

    def _finish(self, output: dict[str, Any]) -> dict[str, Any]:
        latency, outputs = self._latency(), finite([output])
        try:
            ids = writing.write(self.asked, self.choice, outputs, latency) if self.logged else []
            if self.logged:
                shadows.send(self.choice, self.asked, ids)
        finally:
            if not connection.in_atomic_block:
                connection.close()
        version = self.choice.version.pk
        return {"outputs": outputs, "version": version, "latency_ms": latency, "predictions": [str(id) for id in ids]}

    def close(self) -> None:
        """Stop, and make room for the next."""
        if self.open:
            self.open = False
            _places.release()
            with suppress(AttributeError, ValueError):
                self.pieces.close()  # type: ignore[attr-defined]

    def __del__(self) -> None:
        """Whoever asked may be gone before the first event was: then nobody else makes room."""
        self.close()


def response(telling: Telling, draw: Callable[[Event], Event] = lambda event: event) -> StreamingHttpResponse:
    """The events as an HTTP answer; `draw` may change what is told."""

    async def lines() -> AsyncIterator[bytes]:
        events = telling.events()
        try:
            async for event in events:
                name, data = draw(event)
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(lines(), content_type="text/event-stream; charset=utf-8", headers=headers)

"""Server-sent events beside Django: a raw ASGI endpoint, since a Django view would hold a thread and a
database connection for each open stream.

`/stream/<source>/<key>` for pages, and the API's `/api/v1/training/jobs/<id>/stream`. Who asks is found
once, in a thread; after that a stream costs some kilobytes and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http.request import split_domain_port, validate_host

from common.doorstep import Receive, Scope, Send, answer, load, plain_headers, signed_in
from common.errors import NotFoundError, ProblemError, database_away
from common.push import Channel, Hub, Source

log = logging.getLogger(__name__)

PAGE = re.compile(r"^/stream/(?P<source>[a-z]+)/(?P<key>[A-Za-z0-9_-]{1,64})/?$")
API = re.compile(r"^/api/v1/training/jobs/(?P<key>[0-9]{1,18})/stream/?$")
KEEP_ALIVE = 15.0
# Then the page connects again and is asked who it is: a right that was taken away ends within this time (seconds).
LONGEST = 600.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


class Streams:
    """ASGI application for the streams; everything else goes to `inner`.

    `sources` maps a name to the dotted path of its class, `authenticate` turns a bearer key into a user or None.
    """

    def __init__(
        self, inner: Any, sources: dict[str, str], api_source: str, authenticate: str, beside: str = ""
    ) -> None:
        """`beside`: a source that every page is told of on the same connection, opened with the page's own as key.

        A browser keeps few connections to one host, so a second one for each page is none to have.
        """
        self.inner = inner
        self.sources = sources
        self.api_source = api_source
        self.authenticate = authenticate
        self.beside = beside
        self.hub = Hub()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (found := self._find(scope["path"])):
            await self._stream(scope, receive, send, *found)
        else:
            await self.inner(scope, receive, send)

    def _find(self, path: str) -> tuple[str | None, str] | None:
        if page := PAGE.match(path):
            return self.sources.get(page["source"]), page["key"]
        if api := API.match(path):
            return self.api_source, api["key"]
        return None

    async def _stream(self, scope: Scope, receive: Receive, send: Send, source: str | None, key: str) -> None:
        headers = plain_headers(scope)
        problem = _refuse(scope, headers, source)
        if problem:
            await answer(send, scope, problem)
            return
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        who: list[Any] = []

        def make() -> Source:
            who.append(signed_in(headers, self.authenticate))
            return load(source or "").open(who[0], key, query)

        try:
            channel = await self.hub.open(make)
        except ProblemError as error:
            await answer(send, scope, error)
            return
        except (TimeoutError, OperationalError, InterfaceError):
            await answer(send, scope, database_away())
            return
        channels = [channel, *await self._beside(scope["path"], source, who[0])]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._follow(channels, receive, send)
        finally:
            for one in channels:
                self.hub.leave(one)

    async def _beside(self, path: str, source: str | None, user: Any) -> list[Channel]:
        """What a page is told of beside its own; a page is not kept waiting when that can't be had."""
        page = PAGE.match(path)
        if page is None or not self.beside or source == self.beside:
            return []
        try:
            channel = await self.hub.open(lambda: load(self.beside).open(user, page["source"], {}))
        except (ProblemError, TimeoutError, OperationalError, InterfaceError):
            return []
        try:
            await channel.snapshot()
        except Exception:
            log.exception("what pages are told beside their own could not be rendered")
            self.hub.leave(channel)
            return []
        return [channel]

    async def _follow(self, channels: list[Channel], receive: Receive, send: Send) -> None:
        """Send what the channels say, as long as the first of them, the page's own, is alive."""
        gone = asyncio.create_task(_disconnected(receive))
        numbers: dict[Channel, int] = {}
        try:
            first = b"retry: 1000\n\n"
            for channel in channels:
                data, numbers[channel] = await channel.snapshot()
                first += data
            await _send(send, first)
            until = time.monotonic() + LONGEST
            while not gone.done() and self.hub.alive(channels[0]) and time.monotonic() < until:
                alive = [channel for channel in channels if self.hub.alive(channel)]
                changed = [channel.changed for channel in alive]
                if await _send_fresh(alive, numbers, send):
                    continue
                waiting = {asyncio.create_task(change.wait()) for change in changed}
                done, _ = await asyncio.wait({gone, *waiting}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
                for one in waiting - done:
                    one.cancel()
                if not done:
                    await _send(send, b": still here\n\n")
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except (OSError, RuntimeError, OperationalError, InterfaceError, NotFoundError):
            pass  # the viewer left, the database is away, or what was shown is gone: the page connects again
        finally:
            gone.cancel()


async def _send_fresh(channels: list[Channel], numbers: dict[Channel, int], send: Send) -> bool:
    """Send what each channel has said after its number, which goes on; whether there was anything."""
    sent = False
    for channel in channels:
        data, number = channel.since(numbers[channel]) or await channel.snapshot()
        if number != numbers[channel]:
            numbers[channel], sent = number, True
            await _send(send, data)
    return sent


def _refuse(scope: Scope, headers: dict[str, str], source: str | None) -> ProblemError | None:
    domain, _ = split_domain_port(headers.get("host", ""))
    if not validate_host(domain, settings.ALLOWED_HOSTS):
        return ProblemError("This host name is not served here.", "Add it to TRAINHUB_ALLOWED_HOSTS.")
    if scope["method"] != "GET":
        error = ProblemError("A stream is read with GET.", "Send GET.")
        error.status, error.code, error.title = 405, "method_not_allowed", "Method not allowed"
        return error
    if source is None:
        return NotFoundError("There is no such stream.", "Check the address.")
    return None


async def _disconnected(receive: Receive) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})

"""Django's answers, each made by one thread of a few that are kept.

Django's own handler starts a thread for each request, and goes to it and back again for each part of the work, which
costs more than a small answer does. Here a request goes to a thread once and comes back as the whole answer. What is
sent piece by piece is made by the same thread, so that its connection to the database stays the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import IO, Any

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from common.doorstep import Receive, Scope, Send

KEPT = 32  # idle threads; as many more as are needed come and go


class Threads:
    """Executors of one thread each, lent to one request at a time; the one that was used last is lent first."""

    def __init__(self, kept: int = KEPT) -> None:
        self.kept = kept
        self.free: deque[ThreadPoolExecutor] = deque()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Executor]:
        """A thread for whatever happens inside. One whose request was broken off is not lent again: it may be busy."""
        thread = self.free.pop() if self.free else ThreadPoolExecutor(1, "request")
        idle = False
        try:
            yield thread
            idle = True
        finally:
            if idle and len(self.free) < self.kept:
                self.free.append(thread)
            else:
                thread.shutdown(wait=False)


class Handler(ASGIHandler):
    """See the module."""

    def __init__(self) -> None:
        self.load_middleware(is_async=False)
        self.threads = Threads()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Only HTTP is answered here, not {scope['type']}.")
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        async with self.threads.one() as thread:
            response = await asyncio.get_running_loop().run_in_executor(thread, self._answer, scope, body)
            if not response.streaming:
                await self.send_response(response, send)
                return
            async with ThreadSensitiveContext(executor=thread):
                try:
                    await self._send_while_read(response, receive, send)
                finally:
                    await sync_to_async(response.close)()
                    body.close()

    def _answer(self, scope: Scope, body: IO[bytes]) -> HttpResponseBase:
        """The answer; one that is whole is closed already, which gives the connection to the database back."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, response = self.create_request(scope, body)
        if request is not None:
            response = self.get_response(request)
        response._handler_class = self.__class__
        if isinstance(response, FileResponse):
            response.block_size = self.chunk_size
        if not response.streaming:
            response.close()
            body.close()
        return response

    async def _send_while_read(self, response: HttpResponseBase, receive: Receive, send: Send) -> None:
        """Send the pieces until there is no more of them, or nobody who reads them."""
        gone = asyncio.create_task(self.listen_for_disconnect(receive))
        sending: asyncio.Task[Any] = asyncio.create_task(self.send_response(response, send))
        try:
            await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, sending):
                task.cancel()
            _, ended = await asyncio.gather(gone, sending, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

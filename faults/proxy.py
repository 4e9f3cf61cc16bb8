"""A TCP proxy between the hub and PostgreSQL that breaks the line in ways that a real network does.

It can cut every connection, fall silent without closing anything (a black hole), add latency, and throw away the
answer of one COMMIT after the server has carried it out: the client can't know whether its transaction took place.

The proxy runs in a thread of its own; all methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

CHUNK = 1 << 16
REMEMBERED = 1 << 16  # bytes of a transaction's text that are kept to recognise it
COMMIT = b"COMMIT\x00"
BEGIN = b"BEGIN"


@dataclass
class Swallow:
    """One COMMIT whose answer is to be lost: that of the next transaction which holds all of `words`."""

    words: tuple[bytes, ...]
    done: threading.Event = field(default_factory=threading.Event)
    at: float = 0.0  # monotonic, when the line was cut
    text: bytes = b""  # what the transaction had sent

    def fits(self, text: bytes) -> bool:
        return not self.done.is_set() and all(word in text for word in self.words)


class Proxy:
    """Listens on 127.0.0.1:`port` and forwards to the Unix socket `upstream`."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.port = 0
        self.latency = 0.0  # seconds, added to each chunk in each direction
        self._swallows: list[Swallow] = []
        self._lines: set[_Line] = set()
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close every line and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def cut(self) -> int:
        """Reset every open connection at once; how many there were."""
        return self._call(self._cut)

    def silence(self, on: bool) -> None:
        """From now on nothing passes, in either direction, and nothing is closed; `False` lets it all pass again."""
        self._call(self._open.clear if on else self._open.set)

    def swallow(self, *words: bytes) -> Swallow:
        """Lose the answer of the next COMMIT of a transaction whose text holds all `words`."""
        wanted = Swallow(words)
        self._swallows.append(wanted)
        return wanted

    def forget(self, swallow: Swallow) -> None:
        """Take back a wish that nothing has fitted."""
        with suppress(ValueError):
            self._swallows.remove(swallow)

    def _call(self, function: object) -> object:
        done: list[object] = []
        event = threading.Event()

        def run() -> None:
            done.append(function())  # type: ignore[operator]
            event.set()

        self._loop.call_soon_threadsafe(run)
        event.wait(5)
        return done[0] if done else None

    def _cut(self) -> int:
        lines = list(self._lines)
        for line in lines:
            line.abort()
        return len(lines)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=256))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._cut()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            upstream = await asyncio.open_unix_connection(self.upstream)
        except OSError:
            writer.transport.abort()
            return
        line = _Line(self, (reader, writer), upstream)
        self._lines.add(line)
        try:
            await line.carry()
        finally:
            self._lines.discard(line)


class _Line:
    """One connection of a client and its counterpart at the server."""

    def __init__(self, proxy: Proxy, client: _Stream, server: _Stream) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.text = b""  # of the open transaction
        self.losing: Swallow | None = None

    async def carry(self) -> None:
        """Until either side closes; then both are cut."""
        up = asyncio.ensure_future(self._pump(self.client[0], self.server[1], self._sent))
        down = asyncio.ensure_future(self._pump(self.server[0], self.client[1], self._answered))
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        self.abort()
        await asyncio.gather(up, down, return_exceptions=True)

    def abort(self) -> None:
        for _, writer in (self.client, self.server):
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: object) -> None:
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(CHUNK):
                if not self.proxy._open.is_set():
                    await self.proxy._open.wait()
                if self.proxy.latency:
                    await asyncio.sleep(self.proxy.latency)
                if not look(data):  # type: ignore[operator]
                    return
                writer.write(data)
                await writer.drain()

    def _sent(self, data: bytes) -> bool:
        """What the client says: remember the transaction's text, and see whether its end is one to be lost."""
        self.text = data[data.rindex(BEGIN) :] if BEGIN in data else (self.text + data)[-REMEMBERED:]
        if COMMIT in data:
            for swallow in list(self.proxy._swallows):
                if swallow.fits(self.text):
                    self.losing, swallow.text = swallow, self.text
                    break
        return True

    def _answered(self, _: bytes) -> bool:
        """What the server says: the answer to the COMMIT in question is dropped, with the connection."""
        swallow = self.losing
        if swallow is None:
            return True
        with suppress(ValueError):
            self.proxy._swallows.remove(swallow)
        swallow.at = time.monotonic()
        swallow.done.set()
        return False


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

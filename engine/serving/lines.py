"""What the model server says to one client, who may read slowly, or not at all.

What a client has not taken yet lies in the memory of the server that all models share. So above MOST_UNSENT bytes no
more requests are read from it, and a client that takes nothing for STUCK_SECONDS, or has more than MOST_EVER before it,
is let go: whoever reads never comes near to either.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from engine.serving.frames import message
from engine.sockets import MAX_TOTAL

MOST_UNSENT = 8 << 20
MOST_EVER = 2 * MAX_TOTAL  # more than the largest answer
STUCK_SECONDS = 30.0


class Line:
    """See the module. `said` bytes were written, of which the transport still holds some."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.transport = cast(asyncio.WriteTransport, writer.transport)
        self.transport.set_write_buffer_limits(high=MOST_UNSENT)
        self.said = 0
        self.watch: asyncio.TimerHandle | None = None

    @property
    def unsent(self) -> int:
        """Bytes that wait for the client to read."""
        return self.transport.get_write_buffer_size()

    def say(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send a message as soon as the client reads; nothing once it is gone."""
        if self.writer.is_closing():
            return
        whole = message(header, body)
        if self.unsent + len(whole) > MOST_EVER:
            self.transport.abort()
            return
        self.said += len(whole)
        self.writer.write(whole)
        if self.unsent and self.watch is None:
            self._watch()

    async def room(self) -> None:
        """Wait until the client has taken enough to be asked what else it wants; OSError when it is let go."""
        await self.writer.drain()

    def _watch(self) -> None:
        taken = self.said - self.unsent
        self.watch = asyncio.get_running_loop().call_later(STUCK_SECONDS, self._look, taken)

    def _look(self, taken: int) -> None:
        """Let it go where nothing was taken since. A line that is closing is watched too: it keeps what it holds."""
        self.watch = None
        if self.unsent and self.said - self.unsent == taken:
            self.transport.abort()
        elif self.unsent:
            self._watch()

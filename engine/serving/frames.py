"""Messages between clients, the model server and replicas: a small JSON header and a body that is passed on unread.

A message is `!II`, the lengths of both, then header and body. Every request has an `id`, which its answer must carry.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

from engine.sockets import MAX_HEADER, MAX_TOTAL, BrokenFrame, read_frame

Message = tuple[dict[str, Any], bytes]

MAX_HEAD = 1 << 20  # of a wish, which names files and their checksums
MAX_BODY = MAX_TOTAL + MAX_HEADER + 1024
_SIZES = struct.Struct("!II")
_LENGTH = struct.Struct("!I")


def message(header: dict[str, Any], body: bytes = b"") -> bytes:
    """A message as bytes."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((_SIZES.pack(len(head), len(body)), head, body))


def read_message(stream: BinaryIO) -> Message | None:
    """The next message of a blocking stream, None at its end; BrokenFrame for anything else."""
    prefix = stream.read(_SIZES.size)
    if not prefix:
        return None
    head, body = _sizes(prefix)
    return _header(_exactly(stream, head)), _exactly(stream, body)


async def receive(reader: asyncio.StreamReader) -> Message | None:
    """`read_message` of an asynchronous stream."""
    try:
        head, body = _sizes(await reader.readexactly(_SIZES.size))
        return _header(await reader.readexactly(head)), await reader.readexactly(body) if body else b""
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BrokenFrame("The other side closed in the middle of a message.") from None
        return None


def pack(header: dict[str, Any], parts: Sequence[bytes]) -> bytes:
    """Inputs as one body; `unpack` takes them apart again."""
    head = json.dumps({**header, "sizes": [len(part) for part in parts]}).encode()
    return b"".join((_LENGTH.pack(len(head)), head, *parts))


def unpack(body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What `pack` put together; BrokenFrame when it is not that, or larger than allowed."""
    found = read_frame(io.BytesIO(body))
    if found is None:
        raise BrokenFrame("The request is empty.")
    return found


def _sizes(prefix: bytes) -> tuple[int, int]:
    if len(prefix) < _SIZES.size:
        raise BrokenFrame("The other side closed in the middle of a message.")
    head, body = _SIZES.unpack(prefix)
    if head > MAX_HEAD or body > MAX_BODY:
        raise BrokenFrame("The message is larger than one may be.")
    return head, body


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenFrame("The header is not JSON.") from None
    if not isinstance(header, dict):
        raise BrokenFrame("The header is not an object.")
    return header


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BrokenFrame("The other side closed in the middle of a message.")
    return data

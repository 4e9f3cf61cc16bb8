"""Unix sockets as the engine uses them: long paths, JSON lines, file descriptors, frames with binary parts.

A frame is `!I` length of a JSON header, the header, then the parts whose lengths are in header["sizes"].
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

MAX_LINE = 64 * 1024
MAX_HEADER = 4 * 1024 * 1024
MAX_PARTS = 64
MAX_PART = 32 * 1024 * 1024
MAX_TOTAL = 64 * 1024 * 1024
_LENGTH = struct.Struct("!I")


class BrokenFrame(Exception):
    """The other side closed in the middle, or sent what is not a frame or is larger than allowed."""


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for this path that fits into a socket address (108 bytes), however deep its folder lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, timeout: float) -> socket.socket:
    """Connect to a Unix socket; OSError when nobody answers."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(timeout)
        with short(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def line(message: dict[str, Any]) -> bytes:
    """A message as one line of JSON."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def send_request(connection: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one line, with open file descriptors beside it."""
    data = line(message)
    if len(data) > MAX_LINE:
        raise ValueError("The request is longer than a line may be.")
    sent = socket.send_fds(connection, [data], list(fds)) if fds else 0
    if sent < len(data):
        connection.sendall(data[sent:])


def read_line(stream: BinaryIO) -> dict[str, Any] | None:
    """The next line of a stream as a message, None at its end; BrokenFrame when it is not one."""
    data = stream.readline(MAX_LINE)
    if not data:
        return None
    try:
        message = json.loads(data)
    except ValueError:
        raise BrokenFrame("The answer is not a line of JSON.") from None
    if not data.endswith(b"\n") or not isinstance(message, dict):
        raise BrokenFrame("The answer is not a whole message.")
    return message


def send_frame(connection: socket.socket, header: dict[str, Any], parts: Sequence[bytes] = ()) -> None:
    """Send a header and binary parts."""
    body = json.dumps({**header, "sizes": [len(part) for part in parts]}).encode()
    connection.sendall(_LENGTH.pack(len(body)) + body)
    for part in parts:
        connection.sendall(part)


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]] | None:
    """The next frame, None when the other side closed before one; BrokenFrame for anything malformed."""
    prefix = stream.read(_LENGTH.size)
    if not prefix:
        return None
    if len(prefix) < _LENGTH.size:
        raise BrokenFrame("The other side closed in the middle of a message.")
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_HEADER:
        raise BrokenFrame(f"The header has {length} bytes; {MAX_HEADER} are allowed.")
    header = _header(_exactly(stream, length))
    return header, [_exactly(stream, size) for size in header.pop("sizes")]


def _header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise BrokenFrame("The header is not JSON.") from None
    sizes = header.get("sizes") if isinstance(header, dict) else None
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise BrokenFrame("The header does not say how long its parts are.")
    if len(sizes) > MAX_PARTS or any(size > MAX_PART for size in sizes) or sum(sizes) > MAX_TOTAL:
        raise BrokenFrame("The inputs are larger than one request may be.")
    return header


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BrokenFrame("The other side closed in the middle of a message.")
    return data

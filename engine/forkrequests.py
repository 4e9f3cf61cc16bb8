"""What the warm server checks before it does anything: who may serve, who asks, and what is asked."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import sockets

BACKLOG = 128


class AlreadyServed(Exception):
    """Another server answers on this path."""


class Refused(Exception):
    """A request that can't be carried out; the text goes back to whoever asked."""


def claim(path: Path) -> int:
    """Hold the right to serve on this path; returns the lock's descriptor, AlreadyServed when taken."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(OSError):
            sockets.connect(path, 1.0).close()
            raise AlreadyServed(f"Another server answers on {path}.")
    except (BlockingIOError, AlreadyServed):
        os.close(lock)
        raise AlreadyServed(f"Another server answers on {path}.") from None
    return lock


def listen(path: Path) -> socket.socket:
    """Listen on a path that `claim` gave us; what lies there is left over from a dead server."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    before = os.umask(0o177)
    try:
        with sockets.short(path) as address:
            listener.bind(address)
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def parse(text: bytes) -> dict[str, Any]:
    """A request line as an object."""
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("The request is not a line of JSON.") from None
    if not isinstance(request, dict):
        raise Refused("The request is not a JSON object.")
    return request


def text(request: dict[str, Any], name: str) -> str:
    """A field that must be a text with something in it."""
    value = request.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise Refused(f"The request has no '{name}'.")
    return value


def texts(request: dict[str, Any], name: str) -> dict[str, str]:
    """A field that may be absent and maps names to texts."""
    value = request.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise Refused(f"'{name}' of the request is not an object of texts.")
    return value


def is_ours(client: socket.socket) -> bool:
    """Whether the other side runs as the same user, or as root."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] in (0, os.getuid())

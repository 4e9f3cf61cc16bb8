"""Asks the model server: connections that are kept and shared by the threads of a process. Light: no torch.

Whatever breaks on the way is asked again, on a new connection, until the model server is back or time is up:
predictions change nothing. An answer that carries another id than the request is never taken for its answer.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from engine import sockets
from engine.serving.frames import Message, message, read_message

CONNECT_SECONDS = 1.0
BACK_SECONDS = 8.0  # for a model server that ended to be there again
PAUSE = 0.05
MOST_KEPT = 64  # connections
SLACK = 2.0  # seconds beyond those that the model server itself keeps


class NoServer(Exception):
    """Nothing listens, and did not for BACK_SECONDS; or nothing ever did."""


class Connection:
    """One connection, for one request at a time."""

    def __init__(self, path: Path) -> None:
        self.socket = sockets.connect(path, CONNECT_SECONDS)
        self.stream = self.socket.makefile("rb")

    def send(self, header: Mapping[str, Any], body: bytes, seconds: float) -> None:
        self.socket.settimeout(seconds)
        self.socket.sendall(message(dict(header), body))

    def next(self, id: str) -> Message:
        """The next message to this request; BrokenFrame when there is none, or it answers another one."""
        got = read_message(self.stream)
        if got is None or got[0].get("id") != id:
            raise sockets.BrokenFrame("The model server closed, or answered another request.")
        return got

    def close(self) -> None:
        with suppress(OSError):
            self.stream.close()
            self.socket.close()


class Client:
    """See the module. One for each process and socket: `client_of`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._free: deque[Connection] = deque()
        self._numbers = count(1)
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"

    def ask(self, header: Mapping[str, Any], body: bytes = b"", seconds: float = 5.0) -> Message:
        """The answer to a request, which is asked again while the model server is away. NoServer when it stays so,
        TimeoutError when there is no answer in `seconds`."""
        deadline = time.monotonic() + seconds
        known = False  # whether somebody answered the door in the meantime
        while (left := deadline - time.monotonic()) > 0:
            connection = self._door(deadline, known)
            known = True
            with suppress(ConnectionError, sockets.BrokenFrame):
                return self._exchange(connection, header, body, left)
        raise TimeoutError

    def stream(self, header: Mapping[str, Any], body: bytes, seconds: float) -> Iterator[Message]:
        """The messages that answer a request, from the first piece to the last word. Closing the iterator tells the
        model server to stop. Not asked again: ConnectionError or BrokenFrame when it breaks off."""
        connection = self._door(time.monotonic() + seconds, known=False, fresh=True)
        id = self._id()
        try:
            connection.send({**header, "id": id, "seconds": seconds}, body, seconds + SLACK)
            while True:
                got = connection.next(id)
                yield got
                if got[0]["state"] != "piece":
                    return
        finally:
            connection.close()

    def _door(self, deadline: float, known: bool, fresh: bool = False) -> Connection:
        """A connection, as soon as there is one. NoServer at once where no model server was started, and after
        BACK_SECONDS where it does not come back."""
        until = min(deadline, time.monotonic() + BACK_SECONDS)
        while True:
            try:
                return Connection(self.path) if fresh else self._take()
            except OSError as error:
                if (isinstance(error, FileNotFoundError) and not known) or time.monotonic() > until:
                    raise NoServer from error
                time.sleep(PAUSE)

    def _exchange(self, connection: Connection, header: Mapping[str, Any], body: bytes, seconds: float) -> Message:
        id = self._id()
        try:
            connection.send({**header, "id": id, "seconds": seconds}, body, seconds + SLACK)
            answer = connection.next(id)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return answer

    def _id(self) -> str:
        return f"{self._name}-{next(self._numbers)}"

    def _take(self) -> Connection:
        with suppress(IndexError):
            return self._free.pop()
        return Connection(self.path)

    def _give_back(self, connection: Connection) -> None:
        if len(self._free) < MOST_KEPT:
            self._free.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        while self._free:
            self._free.pop().close()


_clients: dict[tuple[int, Path], Client] = {}
_lock = threading.Lock()


def client_of(path: Path) -> Client:
    """The client of this process for a socket. A forked process gets its own."""
    known = _clients.get((os.getpid(), path))
    if known:
        return known
    with _lock:
        return _clients.setdefault((os.getpid(), path), Client(path))


def wish(path: Path, wishes: Iterable[Mapping[str, Any]], seconds: float = 2.0) -> dict[str, Any]:
    """Say which versions shall be loaded; what the model server tells of itself. OSError or BrokenFrame when it can't
    be asked now."""
    return _told(path, {"op": "wish"}, json.dumps(list(wishes)).encode(), seconds)


def status(path: Path, seconds: float = 2.0) -> dict[str, Any]:
    """What the model server tells of itself; errors as of `wish`."""
    return _told(path, {"op": "status"}, b"", seconds)


def _told(path: Path, header: dict[str, Any], body: bytes, seconds: float) -> dict[str, Any]:
    with _opened(path) as connection:
        connection.send({**header, "id": "told"}, body, seconds)
        return json.loads(connection.next("told")[1])


@contextmanager
def _opened(path: Path) -> Iterator[Connection]:
    connection = Connection(path)
    try:
        yield connection
    finally:
        connection.close()

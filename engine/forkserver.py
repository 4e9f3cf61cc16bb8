"""The loop of the warm server: requests over a Unix socket in, forked processes out.

One thread, one selector. A request is a line of JSON with file descriptors beside it; the connection stays
open as long as the process lives, and its end is the end of the process: whoever asked is its supervisor.
"""

from __future__ import annotations

import errno
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from engine import child, sockets
from engine.forkrequests import Refused, is_ours, listen, parse, text, texts
from engine.processes import OomWatch, start_time_of

MAX_CONNECTIONS = 256
REQUEST_SECONDS = 5.0  # for a connection to send its whole request
TRAIN_FDS = 3


@dataclass
class Child:
    """A forked process."""

    pid: int
    pidfd: int
    connection: Connection | None = None  # a trainer's supervisor
    killed: bool = False  # by us, so memory was not the reason
    bound: bool = True  # ends with the server


@dataclass(eq=False)
class Connection:
    """A client, from its connect to the end of what it asked for."""

    socket: socket.socket
    deadline: float
    buffer: bytes = b""
    fds: list[int] = field(default_factory=list)
    child: Child | None = None

    def take_fds(self) -> list[int]:
        taken, self.fds = self.fds, []
        return taken


class Server:
    """See the module."""

    def __init__(self, path: Path, lock: int, settings: dict[str, str | None]) -> None:
        """`settings`: environment variables as they were before the server changed them for itself."""
        self.path, self.lock, self.settings = path, lock, settings
        self.selector = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.children: dict[int, Child] = {}
        self.oom = OomWatch()
        self.stopping = False
        self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.listener = listen(path)
        self.inode = path.stat().st_ino
        self._watch(self.listener.fileno(), self._on_connect)
        self._watch_signals()
        self._watch_parent()

    def serve(self) -> int:
        """Answer until told to stop; kills every run that was forked before it returns."""
        while not self.stopping:
            for key, _ in self.selector.select(self._patience()):
                if self.selector.get_map().get(key.fd) is key:  # else ended by an earlier callback
                    key.data()
            self._on_time()
        self._end()
        return 0

    # Events

    def _watch(self, fd: int, callback: Callable[[], None]) -> None:
        self.selector.register(fd, selectors.EVENT_READ, callback)

    def _watch_signals(self) -> None:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        # Ctrl-C in a terminal reaches the whole group; the supervisors end their runs properly first.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._watch(reader, self._stop)

    def _watch_parent(self) -> None:
        # Not PR_SET_PDEATHSIG: that fires when the *thread* that started us ends.
        with suppress(OSError):  # no parent in this namespace
            self._watch(os.pidfd_open(os.getppid()), self._stop)

    def _stop(self) -> None:
        self.stopping = True

    def _patience(self) -> float | None:
        """Seconds until something is due by time; None when nothing is, so an idle server never wakes."""
        waiting = any(connection.child is None for connection in self.connections)
        return OomWatch.INTERVAL if waiting or self.children else None

    def _on_time(self) -> None:
        now = time.monotonic()
        if self.children:
            self.oom.look()
        for connection in [c for c in self.connections if c.child is None and c.deadline < now]:
            self._refuse(connection, "The request did not arrive in time.")

    def _on_connect(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._turn_away()
            return
        client.setblocking(False)
        connection = Connection(client, time.monotonic() + REQUEST_SECONDS)
        self.connections.add(connection)
        self._watch(client.fileno(), partial(self._on_data, connection))
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(connection, "The warm server has too many connections.")
        elif not is_ours(client):
            self._refuse(connection, "The warm server belongs to another user.")

    def _turn_away(self) -> None:
        """Out of descriptors: use the spare one to answer, or the connection would wake us for ever."""
        os.close(self.spare)
        with suppress(OSError):
            client, _ = self.listener.accept()
            with client:
                client.send(sockets.line({"error": "The warm server has too many open files."}))
        self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _on_data(self, connection: Connection) -> None:
        try:
            data, fds, flags, _ = socket.recv_fds(
                connection.socket, sockets.MAX_LINE, TRAIN_FDS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, fds, flags = b"", [], 0
        connection.fds += fds
        if not data:
            self._drop(connection)
        elif connection.child is None:
            connection.buffer += data
            self._on_request(connection, bool(flags & socket.MSG_CTRUNC))
        else:
            _close_all(connection.take_fds())  # a running trainer's supervisor has nothing more to say

    def _on_request(self, connection: Connection, truncated: bool) -> None:
        first, newline, _ = connection.buffer.partition(b"\n")
        try:
            if truncated:
                raise Refused("The file descriptors of the request did not arrive.")
            if newline:
                self._carry_out(connection, first)
            elif len(connection.buffer) > sockets.MAX_LINE:
                raise Refused("The request is longer than a line may be.")
        except Refused as error:
            self._refuse(connection, str(error))
        except OSError as error:
            self._refuse(connection, f"The warm server can't do this now: {error.strerror or error}.")

    def _carry_out(self, connection: Connection, first: bytes) -> None:
        request = parse(first)
        match request.get("op"):
            case "ping":
                torch = sys.modules["torch"].__version__ if "torch" in sys.modules else None
                self._answer(connection, {"ok": True, "torch": str(torch), "pid": os.getpid()})
            case "train":
                self._train(connection, request)
            case "models":
                self._serve_models(connection, request)
            case _:
                raise Refused("The request names no operation that the warm server knows.")

    # Trainers

    def _train(self, connection: Connection, request: dict[str, Any]) -> None:
        spec = text(request, "spec")
        environment = self._environment(request)
        if len(connection.fds) != TRAIN_FDS:
            raise Refused(f"A run needs {TRAIN_FDS} file descriptors, {len(connection.fds)} arrived.")
        control, events, output = connection.fds
        connection.child = self._fork(
            lambda: child.train(Path(spec), environment, control=control, events=events, output=output)
        )
        connection.child.connection = connection
        _close_all(connection.take_fds())
        pid = connection.child.pid
        self._send(connection, {"pid": pid, "start_time": start_time_of(pid)})

    def _environment(self, request: dict[str, Any]) -> dict[str, str | None]:
        given = texts(request, "env")
        if any(not name or "=" in name or "\0" in name + value for name, value in given.items()):
            raise Refused("The environment of a run has a name or value that no process can have.")
        return {**self.settings, **given}

    def _fork(self, body: Callable[[], NoReturn], bound: bool = True) -> Child:
        server = os.getpid()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody reads the server's own output any more
                stream.flush()
        pid = os.fork()
        if pid == 0:
            child.begin(server, body, bound=bound)
        try:
            born = Child(pid, os.pidfd_open(pid), bound=bound)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.children[pid] = born
        self._watch(born.pidfd, partial(self._on_exit, born))
        return born

    def _on_exit(self, ended: Child) -> None:
        # Its number stays taken until it is reaped, so the group that is killed here is surely its own.
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        _kill_group(ended.pid)
        _, status = os.waitpid(ended.pid, 0)
        self.selector.unregister(ended.pidfd)
        os.close(ended.pidfd)
        del self.children[ended.pid]
        if ended.connection:
            self._answer(ended.connection, self._ending(ended, os.waitstatus_to_exitcode(status)))

    def _ending(self, ended: Child, code: int) -> dict[str, Any]:
        if code >= 0:
            return {"exit": code}
        oom = -code == signal.SIGKILL and not ended.killed and self.oom.claim()
        return {"signal": -code, "oom": oom}

    def _kill(self, target: Child) -> None:
        target.killed = True
        _kill_group(target.pid)
        os.kill(target.pid, signal.SIGKILL)  # it may not lead its group yet

    # The model server

    def _serve_models(self, connection: Connection, request: dict[str, Any]) -> None:
        """Fork the model server. Whoever asked watches it from now on; it does not end with us."""
        path, (parent, limit) = Path(text(request, "socket")), (request.get("parent"), request.get("limit"))
        if not isinstance(parent, int) or not isinstance(limit, int):
            raise Refused("A model server needs the process id of its parent and a limit of memory.")
        made = self._fork(lambda: child.serve_models(path, parent, limit, self.settings), bound=False)
        self._answer(connection, {"pid": made.pid})

    # Connections

    def _send(self, connection: Connection, message: dict[str, Any]) -> None:
        with suppress(OSError):  # whoever asked is gone; its connection says so next
            connection.socket.send(sockets.line(message))

    def _answer(self, connection: Connection, message: dict[str, Any]) -> None:
        """The last word on a connection."""
        connection.child = None
        self._send(connection, message)
        self._drop(connection)

    def _refuse(self, connection: Connection, reason: str) -> None:
        self._answer(connection, {"error": reason})

    def _drop(self, connection: Connection) -> None:
        """Close a connection; a process whose supervisor this was dies with it."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        self.selector.unregister(connection.socket.fileno())
        connection.socket.close()
        _close_all(connection.take_fds())
        if connection.child:
            connection.child.connection = None
            self._kill(connection.child)

    def _end(self) -> None:
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino == self.inode:
                self.path.unlink()
        self.listener.close()
        bound = [one for one in self.children.values() if one.bound]
        for remaining in bound:
            self._kill(remaining)
        for remaining in bound:
            poll = select.poll()
            poll.register(remaining.pidfd, select.POLLIN)
            poll.poll(5000)
            if os.waitid(os.P_PID, remaining.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
                self._on_exit(remaining)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)

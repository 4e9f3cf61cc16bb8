"""Starts a trainer, warm or cold, and holds its ends: events, output, commands, exit.

For the supervisor, which is a daemonic process: no multiprocessing, no threads, no torch.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import sockets
from engine.catalogue import spec_for_several
from engine.processes import (
    Ended,
    OomWatch,
    boot_id,
    kill_group,
    kill_leftover,
    process_alive,
    start_time_of,
)
from engine.protocol import Command

__all__ = [
    "Ended",
    "Trainer",
    "boot_id",
    "engine_environment",
    "kill_leftover",
    "ping",
    "process_alive",
    "start_model_server",
    "start_time_of",
    "start_trainer",
    "warm_command",
]

ROOT = Path(__file__).resolve().parent.parent
PIPE_BYTES = 1 << 20
WARM_SECONDS = 1.0  # after which a server that does not answer is passed over
LAST_RANK_SECONDS = 2.0  # for the kernel to take down a process that it has killed
_SECRET = re.compile(r"SECRET|PASSWORD|TOKEN|CREDENTIAL|DATABASE_URL|DSN", re.IGNORECASE)


class LostServer(Exception):
    """The warm server does not answer, or refused; the text says which."""


class Trainer:
    """A running trainer. `close` it when done; closing a live one ends it.

    `events`, `output` and `exit_fd` are descriptors to select on. The first two are non-blocking; `exit_fd`
    is readable once the process has ended, then `poll` says how. Not for use from several threads.
    """

    def __init__(self, pid: int, start_time: int, ends: _Ends, *, warm: bool, exit_fd: int) -> None:
        self.pid, self.start_time = pid, start_time
        self.warm = warm
        self.events, self.output, self.exit_fd = ends.events, ends.output, exit_fd
        self._control: int | None = ends.control
        self._ended: Ended | None = None
        self._closed = False

    def send(self, command: Command) -> bool:
        """Hand a command down; False when the trainer is gone or does not read its commands."""
        return self._say({"command": command})

    def _say(self, message: dict[str, Any]) -> bool:
        if self._control is None:
            return False
        try:
            os.write(self._control, sockets.line(message))
        except OSError:
            return False
        return True

    def renew(self, seconds: float) -> bool:
        """Let it live for `seconds` more; without another word in that time it ends itself. False when it is gone."""
        return self._say({"lease": seconds})

    def poll(self) -> Ended | None:
        """How it ended, None while it runs. Once it has ended, nothing of its process group is left."""
        if self._ended is None:
            self._ended = self._look()
        return self._ended

    def wait(self, timeout: float | None = None) -> Ended | None:
        """Wait until it has ended; None when it still runs after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (ended := self.poll()) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            _readable(self.exit_fd, left)
        return ended

    def kill(self) -> bool:
        """SIGKILL the process and its whole group, and wait until they are gone; True when they are.

        May be called again and after the end. False: something is stuck in the kernel and may live on.
        """
        gone = kill_group(self.pid, self.start_time)
        if self._ended is None and not self._closed:
            self.wait(timeout=1.0)
        return gone

    def close(self) -> None:
        """Let go of everything; a trainer that still runs is killed."""
        if self._closed:
            return
        if self.poll() is None:
            self.kill()
        self._closed = True
        for fd in (self.events, self.output, self._control):
            if fd is not None:
                os.close(fd)
        self._control = None
        self._release()

    def _look(self) -> Ended | None:
        raise NotImplementedError

    def _release(self) -> None:
        raise NotImplementedError


class _Warm(Trainer):
    """Forked by the warm server, which reports its end on the connection."""

    def __init__(self, connection: socket.socket, reply: dict[str, Any], rest: bytes, ends: _Ends) -> None:
        super().__init__(reply["pid"], reply["start_time"], ends, warm=True, exit_fd=connection.fileno())
        connection.setblocking(False)
        self._connection = connection
        self._answer = rest  # the end of a very short run may come with the reply

    def _look(self) -> Ended | None:
        try:
            data = b"" if b"\n" in self._answer else self._connection.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self._answer += data
        if b"\n" in self._answer:
            answer = json.loads(self._answer)
            return Ended(answer.get("exit"), answer.get("signal"), answer.get("oom", False))
        if data:
            return None
        # The server died and took the trainer along; what the trainer had started is ours to end.
        kill_group(self.pid, self.start_time)
        return Ended(signal=signal.SIGKILL, lost_server=True)

    def _release(self) -> None:
        self._connection.close()


class _Cold(Trainer):
    """A process of its own, our child."""

    def __init__(self, process: subprocess.Popen[bytes], oom: OomWatch, ends: _Ends) -> None:
        start_time = start_time_of(process.pid)
        assert start_time is not None  # we have not reaped it
        super().__init__(process.pid, start_time, ends, warm=False, exit_fd=os.pidfd_open(process.pid))
        self._process = process
        self._oom = oom
        self._killed = False

    def kill(self) -> bool:
        self._killed = True
        return super().kill()

    def _look(self) -> Ended | None:
        if not os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            self._oom.look()
            return None
        kill_group(self.pid, self.start_time)  # while it is not reaped, its number is surely its own
        code = self._process.wait()
        if code >= 0:
            return Ended(code=code)
        oom = -code == signal.SIGKILL and not self._killed and self._oom.claim()
        return Ended(signal=-code, oom=oom)

    def _release(self) -> None:
        os.close(self.exit_fd)


class _Several(_Cold):
    """The launcher of several processes, which die with it. They all hold the pipe for their output."""

    def _look(self) -> Ended | None:
        ended = super()._look()
        if ended is not None:
            _closed(self.output, LAST_RANK_SECONDS)
        return ended


class _Ends:
    """The pipes between supervisor and trainer: our ends, and theirs until they are handed over."""

    def __init__(self) -> None:
        self._theirs: list[int] = []
        self._ours: list[int] = []
        try:
            self.events = self._incoming()
            self.output = self._incoming()
            reader, self.control = self._pipe()
        except OSError:
            self.close()
            raise
        self._theirs.append(reader)
        self._ours.append(self.control)
        os.set_blocking(self.control, False)
        self.events_writer, self.output_writer, self.control_reader = self._theirs

    def _pipe(self) -> tuple[int, int]:
        return os.pipe2(os.O_CLOEXEC)

    def _incoming(self) -> int:
        reader, writer = self._pipe()
        self._ours.append(reader)
        self._theirs.append(writer)
        os.set_blocking(reader, False)
        with suppress(PermissionError):  # the user's limit for pipes is reached: 64 KiB must do
            fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return reader

    def hand_over(self) -> None:
        """Close the trainer's ends here; the trainer has them."""
        for fd in self._theirs:
            os.close(fd)
        self._theirs = []

    def close(self) -> None:
        """Give up: a trainer that may have started after all sees the end of its commands and leaves."""
        self.hand_over()
        for fd in self._ours:
            os.close(fd)
        self._ours = []


def start_trainer(
    spec_path: Path, *, socket_path: Path | None, env: Mapping[str, str] | None = None, processes: int = 1
) -> Trainer:
    """Start a run: forked from the warm server when it answers in time, else in a fresh interpreter.

    `env` is added to the trainer's environment (CUDA_VISIBLE_DEVICES and the like). OSError when the machine
    can start no process at all.

    `processes` is that of the spec. A run of several starts fresh, and the trainer is its launcher; a simulated
    one takes one process whatever it asks for.
    """
    if processes > 1 and spec_for_several(spec_path) is not None:
        return _start_cold(spec_path.absolute(), dict(env or {}), _Several)
    if socket_path is not None:
        with suppress(LostServer):
            return _start_warm(spec_path.absolute(), socket_path, dict(env or {}))
    return _start_cold(spec_path.absolute(), dict(env or {}))


def _start_warm(spec_path: Path, socket_path: Path, env: dict[str, str]) -> Trainer:
    ends = _Ends()
    connection = None
    try:
        connection = sockets.connect(socket_path, WARM_SECONDS)
        message = {"op": "train", "spec": str(spec_path), "env": env}
        sockets.send_request(connection, message, (ends.control_reader, ends.events_writer, ends.output_writer))
        ends.hand_over()
        reply, rest = _reply(connection)
        if not isinstance(reply.get("pid"), int) or not isinstance(reply.get("start_time"), int):
            raise LostServer(str(reply.get("error", "The warm server gave no process.")))
    except (OSError, LostServer) as error:
        # Everything is closed before anyone starts cold: a late fork finds its supervisor gone.
        ends.close()
        if connection:
            connection.close()
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        raise LostServer(str(error)) from error
    return _Warm(connection, reply, rest, ends)


def _reply(connection: socket.socket) -> tuple[dict[str, Any], bytes]:
    """The server's first line, and what came behind it."""
    deadline = time.monotonic() + WARM_SECONDS
    data = b""
    while b"\n" not in data:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = connection.recv(4096)
        if not chunk:
            raise LostServer("The warm server closed the connection.")
        data += chunk
    first, _, rest = data.partition(b"\n")
    try:
        reply = json.loads(first)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise LostServer("What answers on the socket is no warm server.")
    return reply, rest


def _start_cold(spec_path: Path, env: dict[str, str], kind: type[_Cold] = _Cold) -> Trainer:
    ends = _Ends()
    fds = (ends.events_writer, ends.control_reader)
    arguments = [str(spec_path), "--events-fd", str(fds[0]), "--control-fd", str(fds[1])]
    oom = OomWatch()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=ends.output_writer,
            stderr=subprocess.STDOUT,
            pass_fds=fds,
            start_new_session=True,
            env=engine_environment(env),
        )
    except OSError:
        ends.close()
        raise
    ends.hand_over()
    try:
        return kind(process, oom, ends)
    except OSError:
        ends.close()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def engine_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of an engine process: ours without secrets, with the engine on its path."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(extra or {})}


def warm_command(socket_path: Path, *, parent: int | None = None) -> list[str]:
    """The command of a warm server; run it with `engine_environment()`.

    It ends when the process that started it ends. `parent` is that process's id: it closes the gap in which
    the parent dies before the server looks.
    """
    command = [sys.executable, "-P", "-m", "engine.warm", "--socket", str(socket_path.absolute())]
    return command if parent is None else [*command, "--parent", str(parent)]


def ping(socket_path: Path, timeout: float = WARM_SECONDS) -> dict[str, Any] | None:
    """What the warm server says of itself (`pid`, `torch`), None when it does not answer."""
    try:
        with sockets.connect(socket_path, timeout) as connection:
            sockets.send_request(connection, {"op": "ping"})
            return _reply(connection)[0]
    except (OSError, LostServer):
        return None


def start_model_server(warm: Path, socket_path: Path, *, parent: int, limit: int) -> int:
    """Have the warm server fork a model server, which ends when the process `parent` does; its process id.

    `limit` is in bytes, see `engine.serving.orders.memory_limit`. LostServer when the warm server does not answer.
    """
    order = {"op": "models", "socket": str(socket_path.absolute()), "parent": parent, "limit": limit}
    try:
        with sockets.connect(warm, WARM_SECONDS) as connection:
            sockets.send_request(connection, order)
            return _reply(connection)[0]["pid"]
    except (OSError, KeyError) as error:
        raise LostServer(str(error)) from error


def _closed(fd: int, timeout: float) -> bool:
    """Wait until nobody holds the other end of a pipe, whatever is left in it to be read."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(int(timeout * 1000)))


def _readable(fd: int, timeout: float | None) -> bool:
    poll = select.poll()  # select.select fails for descriptors above 1023
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(1, int(timeout * 1000))))

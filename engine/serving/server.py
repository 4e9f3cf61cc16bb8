"""The model server's own process: clients connect to its socket, the pool answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from engine import child
from engine.forkrequests import AlreadyServed, claim, is_ours, listen
from engine.processes import set_name
from engine.serving.frames import receive
from engine.serving.lines import Line
from engine.serving.orders import Order
from engine.serving.pool import Pool
from engine.serving.served import Request
from engine.sockets import BrokenFrame

ALREADY_SERVED = 3
LOOK_SECONDS = 1.0


class ModelServer:
    """Runs until it is told to stop, or until the process `parent` is gone."""

    def __init__(self, path: Path, parent: int, limit: int, settings: Mapping[str, str | None]) -> None:
        self.path, self.settings = path, {**settings, "CUDA_VISIBLE_DEVICES": ""}
        self.lock = claim(path)
        self.pool = Pool(self._fork, limit)
        self.parent = parent
        self.stopping: asyncio.Event

    async def run(self) -> NoReturn:
        self.stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stopping.set)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal: the node manager stops us in order
        try:
            loop.add_reader(os.pidfd_open(self.parent), self.stopping.set)
        except OSError:
            child.leave(0)
        listener = listen(self.path)
        inode = self.path.stat().st_ino
        server = await asyncio.start_unix_server(self._client, sock=listener, limit=1 << 20)
        while not self.stopping.is_set():
            self.pool.on_time()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), LOOK_SECONDS)
        server.close()
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino == inode:
                self.path.unlink()
        self.pool.close()
        child.leave(0)  # no task is worth being ended in order

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: messages in, answers out, each with the id of what it answers."""
        asked: dict[str, Request] = {}
        line = Line(writer)
        try:
            if is_ours(writer.get_extra_info("socket")):
                while (got := await receive(reader)) is not None:
                    self._carry_out(asked, line, *got)
                    await line.room()
        except (OSError, BrokenFrame, ValueError, KeyError, TypeError) as error:
            with suppress(OSError):
                line.say({"state": "refused", "message": str(error)})
        finally:
            for request in asked.values():
                self.pool.leave(request)
            writer.close()

    def _carry_out(self, asked: dict[str, Request], line: Line, header: dict[str, Any], body: bytes) -> None:
        match header.get("op"):
            case "predict":
                request = Request(str(header["id"]), str(header["key"]), body, partial(_answer, asked, line))
                request.stream, request.shape = bool(header.get("stream")), str(header.get("shape", ""))
                asked[request.id] = request
                order = Order.of(header["order"]) if header.get("order") else None
                self.pool.submit(request, order, float(header["seconds"]))
            case "wish":
                wishes = json.loads(body)
                self.pool.wish([(Order.of(one), int(one["replicas"]), bool(one["kept"])) for one in wishes])
                self._tell(line, header)
            case "status":
                self._tell(line, header)
            case _:
                raise BrokenFrame("The request names no operation that the model server knows.")

    def _tell(self, line: Line, header: dict[str, Any]) -> None:
        told = {"pid": os.getpid(), "limit": self.pool.limit, "models": self.pool.told()}
        line.say({"id": header.get("id"), "state": "told"}, json.dumps(told).encode())

    def _fork(self, order: Order, fd: int) -> int:
        server = os.getpid()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        pid = os.fork()
        if pid == 0:
            child.begin(server, lambda: child.serve(order, self.settings, fd))
        return pid


def _answer(asked: dict[str, Request], line: Line, header: dict[str, Any], body: bytes) -> None:
    if header["state"] != "piece":
        asked.pop(header["id"], None)
    line.say(header, body)


def run(path: Path, parent: int, limit: int, settings: Mapping[str, str | None]) -> NoReturn:
    """Be the model server; the process was forked for it."""
    set_name("model-server")
    try:
        server = ModelServer(path, parent, limit, settings)
    except AlreadyServed:
        child.leave(ALREADY_SERVED)
    asyncio.run(server.run())
    raise AssertionError("it has left")

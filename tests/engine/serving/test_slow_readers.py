"""A client that doesn't read costs the model server a bounded part of its memory, and others nothing."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from engine.serving import lines
from engine.serving.frames import message, receive
from engine.serving.lines import Line
from engine.serving.server import ModelServer

BODY = bytes(100_000)


class Echo:
    """Answers each request at once, with a large body."""

    limit = 0

    def __init__(self) -> None:
        self.asked = 0

    def submit(self, request, order, seconds) -> None:
        self.asked += 1
        request.finish({"state": "done"}, BODY)

    def leave(self, request) -> None:
        pass


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(lines, "MOST_UNSENT", 1_000_000)
    monkeypatch.setattr(lines, "MOST_EVER", 5_000_000)
    monkeypatch.setattr(lines, "STUCK_SECONDS", 0.3)


def meeting(talk):
    """Have `talk(server, stream of a client)` with a model server whose pool echoes."""

    async def go():
        server = ModelServer.__new__(ModelServer)
        server.pool = Echo()
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        served = asyncio.create_task(server._client(reader, writer))
        ours.setblocking(False)
        try:
            return await asyncio.wait_for(talk(server, ours, writer), 20)
        finally:
            ours.close()
            await asyncio.wait_for(served, 5)

    return asyncio.run(go())


async def ask(client: socket.socket, times: int) -> None:
    loop = asyncio.get_running_loop()
    for number in range(times):
        await loop.sock_sendall(client, message({"op": "predict", "id": str(number), "key": "v", "seconds": 5}))


def test_from_a_client_that_does_not_read_no_more_is_read_and_then_it_is_let_go():
    async def talk(server, client, writer):
        transport = writer.transport
        asking = asyncio.create_task(ask(client, 5_000))
        began, most = time.monotonic(), 0
        while not transport.is_closing():
            most = max(most, transport.get_write_buffer_size())
            await asyncio.sleep(0.005)
        took = time.monotonic() - began
        asking.cancel()
        await asyncio.sleep(0)
        return server.pool.asked, most, took, transport.get_write_buffer_size()

    asked, most, took, left = meeting(talk)
    assert 1_000_000 < most < 1_000_000 + 2 * len(BODY) and asked < 30
    assert 0.3 <= took < 5 and left == 0


def test_a_client_that_reads_slowly_gets_everything():
    async def talk(server, client, writer):
        reader, back = await asyncio.open_unix_connection(sock=client, limit=1 << 16)
        got = 0
        for number in range(40):
            back.write(message({"op": "predict", "id": str(number), "key": "v", "seconds": 5}))
        while got < 40:
            await asyncio.sleep(0.02)  # 40 of these are longer than STUCK_SECONDS
            header, body = await receive(reader)
            assert header["id"] == str(got) and body == BODY
            got += 1
        back.close()
        return server.pool.asked

    assert meeting(talk) == 40


def test_what_comes_by_itself_is_bounded_too():
    async def talk(server, client, writer):
        line = Line(writer)
        for _ in range(200):  # pieces of a stream, or answers to what was asked before
            line.say({"id": "1", "state": "piece"}, BODY)
            assert line.unsent <= lines.MOST_EVER
        closed = writer.is_closing()
        line.say({"id": "1", "state": "done"}, BODY)
        return closed, line.unsent

    assert meeting(talk) == (True, 0)


def test_what_is_left_for_a_client_that_hung_up_half_way_is_let_go_too():
    async def talk(server, client, writer):
        await ask(client, 5)
        client.shutdown(socket.SHUT_WR)
        while server.pool.asked != 5 or not writer.is_closing():
            await asyncio.sleep(0.01)
        held = writer.transport.get_write_buffer_size()
        await asyncio.sleep(0.8)
        return held > 0, writer.transport.get_write_buffer_size()

    assert meeting(talk) == (True, 0)

"""Each request is answered by one thread of a few that are kept."""

import asyncio
import json

import pytest
from django.core import signals

from common import handler
from common.handler import Handler, Threads
from tests.common import handler_urls


@pytest.fixture
def app(settings):
    settings.ROOT_URLCONF = "tests.common.handler_urls"
    settings.ALLOWED_HOSTS = ["testserver"]
    return Handler()


class Client:
    """One request by ASGI. `leaves_after`: how many messages of the answer are read."""

    def __init__(self, path: str, body: bytes = b"", leaves_after: int = 1_000_000) -> None:
        self.scope = {
            "type": "http", "method": "POST" if body else "GET", "path": path, "raw_path": path.encode(),
            "query_string": b"", "headers": [(b"host", b"testserver")], "http_version": "1.1",
        }  # fmt: skip
        self.body, self.leaves_after = body, leaves_after
        self.asked = False
        self.left = asyncio.Event()
        self.messages: list[dict] = []

    async def receive(self):
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.messages.append(message)
        if len(self.messages) >= self.leaves_after:
            self.left.set()
        await asyncio.sleep(0)

    async def ask(self, app):
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self):
        return self.messages[0]["status"]

    @property
    def text(self):
        return b"".join(message.get("body", b"") for message in self.messages[1:]).decode()


def test_requests_one_after_the_other_are_answered_by_one_thread(app):
    async def run():
        return [await Client("/echo", body).ask(app) for body in (b"one", b"two")]

    told = [(client.status, json.loads(client.text)) for client in asyncio.run(run())]
    assert [(status, one["body"]) for status, one in told] == [(201, "one"), (201, "two")]
    assert len({one["thread"] for _, one in told}) == 1


def test_requests_at_once_do_not_wait_for_each_other(app):
    async def run():
        return await asyncio.gather(*(Client("/together").ask(app) for _ in range(2)))

    assert len({client.text for client in asyncio.run(run())}) == 2
    assert len(app.threads.free) == 2


def test_what_comes_piece_by_piece_is_made_by_the_thread_of_its_view(app):
    async def run():
        return await Client("/pieces").ask(app)

    assert asyncio.run(run()).text == "True\n" * 3
    assert len(app.threads.free) == 1


def test_whoever_leaves_ends_what_is_made_piece_by_piece(app):
    async def run():
        handler_urls.ended.clear()
        await asyncio.wait_for(Client("/endless", leaves_after=4).ask(app), 10)
        return await Client("/echo", b"x").ask(app)

    after = asyncio.run(run())
    assert handler_urls.ended.is_set() and after.status == 201


def test_an_error_is_an_answer_and_costs_no_thread(app):
    async def run():
        return [await Client(path, b"x" * (path == "/echo")).ask(app) for path in ("/fails", "/no-such", "/echo")]

    fails, unknown, echo = asyncio.run(run())
    assert (fails.status, fails.text, unknown.status, echo.status) == (500, "in words", 404, 201)
    assert len(app.threads.free) == 1


def test_an_answer_that_breaks_off_is_told_to_the_server(app):
    async def run():
        client = Client("/breaks")
        with pytest.raises(OSError, match="the disk is gone"):
            await client.ask(app)
        return client

    client = asyncio.run(run())
    assert client.text == "first\n" and client.messages[-1].get("more_body"), "it never says that it is whole"


def test_each_request_begins_and_ends_once(app):
    seen = []

    def began(**kwargs):
        seen.append("began")

    def finished(**kwargs):
        seen.append("finished")

    signals.request_started.connect(began)
    signals.request_finished.connect(finished)

    async def run():
        for path in ("/echo", "/pieces", "/fails"):
            await Client(path).ask(app)
        await Client("/endless", leaves_after=3).ask(app)

    try:
        asyncio.run(run())
    finally:
        signals.request_started.disconnect(began)
        signals.request_finished.disconnect(finished)
    assert seen == ["began", "finished"] * 4


def test_no_more_idle_threads_are_kept_than_said():
    async def run():
        threads = Threads(kept=1)
        async with threads.one() as first, threads.one() as second:
            assert first is not second
        return threads

    assert len(asyncio.run(run()).free) == 1
    assert handler.KEPT > 12, "as many as there are connections to the database"

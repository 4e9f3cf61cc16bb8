"""What every page is told of beside its own, on the same connection."""

import asyncio

import pytest

from common.errors import NotFoundError
from common.push import Message
from common.streams import Streams

HERE = "tests.common.test_beside"


class Own:
    """A page's own source."""

    channel, topics = "own", ("own",)

    @classmethod
    def open(cls, user, key, query):
        return cls()

    def snapshot(self):
        return [Message(None, f"snapshot of {self.channel}")]

    def update(self):
        return [Message(None, f"news of {self.channel}")]


class Beside(Own):
    channel, topics = "beside", ("beside",)
    asked: list = []

    @classmethod
    def open(cls, user, key, query):
        cls.asked.append(key)
        return cls()


class Refusing(Own):
    @classmethod
    def open(cls, user, key, query):
        raise NotFoundError("There is none for you.")


@pytest.fixture(autouse=True)
def database(transactional_db, monkeypatch):
    """The threads that render close their connections."""
    monkeypatch.setattr("common.streams.signed_in", lambda headers, authenticate: None)


def hear(beside, until, then=lambda streams: None):
    """What a viewer of /stream/own/1 is sent, until it holds `until`; `then` happens after the first part."""
    streams = Streams(None, {"own": f"{HERE}.Own"}, "", "accounts.tokens.authenticate", beside=beside)
    got = []

    async def play():
        over = asyncio.Event()

        async def receive():
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            got.append(message.get("body", b""))
            if len(got) == 2:
                then(streams)
            if until in b"".join(got):
                over.set()

        headers = [(b"host", b"127.0.0.1")]
        scope = {"type": "http", "method": "GET", "path": "/stream/own/1", "headers": headers, "query_string": b""}
        await asyncio.wait_for(streams(scope, receive, send), 20)
        for channel in streams.hub.channels.values():
            channel.task.cancel()
        if streams.hub.listener:
            streams.hub.listener.cancel()

    asyncio.run(play())
    return b"".join(got)


def change(topic):
    def mark(streams):
        for channel in streams.hub.by_topic[topic]:
            channel.dirty.set()

    return mark


def test_a_page_gets_both_states_and_the_news_of_both(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    Beside.asked.clear()
    said = hear(f"{HERE}.Beside", b"news of beside", change("beside"))
    assert b"snapshot of own" in said and b"snapshot of beside" in said and Beside.asked == ["own"]
    assert b"news of own" in hear(f"{HERE}.Beside", b"news of own", change("own"))


def test_a_page_is_told_its_own_where_there_is_nothing_beside(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    for beside in ("", f"{HERE}.Refusing", f"{HERE}.Own"):
        said = hear(beside, b"news of own", change("own"))
        assert said.count(b"snapshot of own") == 1


def test_a_page_goes_on_when_what_is_beside_ends(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1"]

    def end(streams):
        streams.hub.drop(streams.hub.channels["beside"])
        change("own")(streams)

    assert b"news of own" in hear(f"{HERE}.Beside", b"news of own", end)

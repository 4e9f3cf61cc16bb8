"""One channel for all viewers: each change is rendered once, and nobody takes it from another."""

import asyncio
import itertools
import time

import pytest

from common.errors import NotFoundError
from common.push import Channel, Hub, Message


class Counter:
    """Shows a number; remembers what it last told, as the sources of pages do."""

    channel = "counter"
    topics = ("counter",)

    def __init__(self):
        self.now, self.told = [0], None

    def snapshot(self):
        self.told = self.now[0]
        return [Message(None, f"all {self.told}")]

    def update(self):
        if self.told == self.now[0]:
            return []
        self.told = self.now[0]
        return [Message("changed", str(self.told))]


def run(scene):
    async def play():
        hub = Hub()
        channel = Channel(Counter(), hub)
        try:
            await scene(channel)
        finally:
            channel.task.cancel()

    asyncio.run(play())


@pytest.fixture(autouse=True)
def database(transactional_db):
    """The threads that render close their connections."""


def test_a_viewer_who_joins_takes_nothing_from_the_others():
    async def scene(channel):
        _, number = await channel.snapshot()
        channel.source.now[0] = 1
        channel.cached = None
        data, _ = await _dirty(channel).snapshot()  # someone joins between the change and its update
        assert b"all 1" in data
        while (fresh := channel.since(number)) == (b"", number):
            await asyncio.sleep(0.01)
        assert b"data: 1" in fresh[0]

    run(scene)


def test_a_viewer_who_falls_behind_gets_the_whole_state():
    async def scene(channel):
        _, number = await channel.snapshot()
        channel._append([Message("changed", str(step)) for step in range(100)])
        assert channel.since(number) is None
        assert channel.since(number + 99)[0].count(b"data:") == 1

    run(scene)


def test_a_thousand_who_join_while_it_changes_cost_one_rendering_and_hold_nobody_up():
    async def scene(channel):
        asked = []
        original = Counter.snapshot

        def counted(self):
            asked.append(1)
            return original(self)

        Counter.snapshot = counted
        try:
            _, number = await channel.snapshot()
            channel.source.now[0] = 1
            await asyncio.gather(*(_dirty(channel).snapshot() for _ in range(1000)))
        finally:
            Counter.snapshot = original
        assert len(asked) <= 3
        while channel.since(number) == (b"", number):
            await asyncio.sleep(0.01)

    run(scene)


def _dirty(channel):
    channel.dirty.set()
    return channel


class Clock(Counter):
    """Changes by itself; says how often it was drawn, and when."""

    channel = "clock"

    def __init__(self, **manners):
        super().__init__()
        self.drawn = []
        for name, value in manners.items():
            setattr(self, name, value)

    def update(self):
        self.drawn.append(time.monotonic())
        return [Message("changed", str(len(self.drawn)))]


def play(source, scene):
    async def all_of_it():
        channel = Channel(source, Hub())
        channel.viewers = 1
        await channel.snapshot()
        try:
            await asyncio.wait_for(scene(channel), 10)
        finally:
            channel.task.cancel()

    asyncio.run(all_of_it())


def test_a_source_with_a_rhythm_is_drawn_without_a_word_while_someone_watches():
    source = Clock(rhythm=0.05)

    async def watch(channel):
        while len(source.drawn) < 3:
            await asyncio.sleep(0.01)
        channel.viewers = 0
        await asyncio.sleep(0.2)  # what had begun has ended
        drawn = len(source.drawn)
        await asyncio.sleep(0.3)
        assert len(source.drawn) == drawn

    play(source, watch)


def test_a_source_with_a_pace_is_drawn_no_more_often_however_much_happens():
    source = Clock(pace=0.3)

    async def hammer(channel):
        while len(source.drawn) < 4:
            channel.dirty.set()
            await asyncio.sleep(0.005)

    play(source, hammer)
    gaps = [later - earlier for earlier, later in itertools.pairwise(source.drawn)]
    assert min(gaps) >= 0.29


class Deleted(Counter):
    """Shows what is deleted while someone watches."""

    channel = "deleted"

    def update(self):
        raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")


def test_a_channel_ends_quietly_when_what_it_shows_is_deleted(caplog):
    async def watch(channel):
        channel.hub.channels[channel.source.channel] = channel
        _dirty(channel)
        while channel.hub.alive(channel):
            await asyncio.sleep(0.01)

    play(Deleted(), watch)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]

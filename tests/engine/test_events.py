"""Events reach the reader soon, complete, and without holding up the training."""

from __future__ import annotations

import json
import math
import os
import threading
import time

import pytest

from engine.events import PIPE_BYTES, StreamSink
from engine.protocol import Event, decode


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def read_all(fd: int) -> list[dict]:
    with os.fdopen(os.dup(fd), "rb") as file:
        return [json.loads(line) for line in file]


def test_a_number_that_is_none_is_sent_as_null(pipe) -> None:
    reader, writer = pipe
    sink = StreamSink(writer)
    sink.step(1, 0.5, {"a": math.nan, "b": math.inf, "c": 1.5, "d": 1e-30}, 10.0)
    sink.close()
    os.close(writer)
    (event,) = read_all(reader)
    assert event["metrics"] == {"a": None, "b": None, "c": 1.5, "d": 1e-30}
    assert decode(json.dumps(event).encode()) == event
    assert abs(event["time"] - time.time()) < 5


def test_steps_arrive_within_a_fifth_of_a_second_and_other_events_at_once(pipe) -> None:
    reader, writer = pipe
    sink = StreamSink(writer)
    sink.step(1, 0, {}, 1)
    os.read(reader, 4096)  # the first is sent at once
    a_step = (lambda: sink.step(2, 0, {}, 1)), 0.2
    a_message = (lambda: sink.emit(Event.LOG, level="info", message="")), 0.08
    for send, limit in (a_step, a_message):
        begun = time.monotonic()
        send()
        os.read(reader, 4096)
        assert time.monotonic() - begun < limit
    sink.close()


def test_a_reader_that_sleeps_does_not_hold_up_the_steps_and_misses_none(pipe) -> None:
    reader, writer = pipe
    sink = StreamSink(writer)
    count = 3 * PIPE_BYTES // 100  # about three times what the pipe holds
    begun = time.monotonic()
    for step in range(count):
        sink.step(step, 0.0, {"train/loss": 1.0}, 1.0)
    assert time.monotonic() - begun < 2, "nobody has read a byte so far"

    got: list[dict] = []
    thread = threading.Thread(target=lambda: got.extend(read_all(reader)))
    thread.start()
    sink.close()
    os.close(writer)
    thread.join()
    assert [e["step"] for e in got] == list(range(count))


def test_a_reader_that_is_gone_is_noticed_and_harms_nothing(pipe) -> None:
    reader, writer = pipe
    sink = StreamSink(writer)
    os.close(reader)
    sink.emit(Event.LOG, level="info", message="nobody hears this")
    deadline = time.monotonic() + 2
    while not sink.broken and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sink.broken
    sink.step(1, 0, {}, 1)
    sink.close()


def test_reporting_a_step_costs_less_than_20_microseconds(pipe) -> None:
    reader, writer = pipe
    threading.Thread(target=read_all, args=(reader,), daemon=True).start()
    sink = StreamSink(writer)
    metrics = {"train/loss": 1.2345678901, "train/accuracy": 0.5, "train/learning_rate": 0.001}
    costs = []
    for _ in range(5):
        begun = time.perf_counter()
        for step in range(2000):
            sink.step(step, step / 45, metrics, 1234.5)
        costs.append((time.perf_counter() - begun) / 2000)
    sink.close()
    os.close(writer)
    assert min(costs) < 20e-6

"""Batches are made beside the training, in order, and what goes wrong comes out where it belongs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import torch

from engine import ahead
from engine.ahead import DEPTH, Ahead
from engine.control import Interrupted
from engine.data import bad_data
from engine.loop import WAITING
from engine.protocol import Command, Event, Exit
from engine.recipes.text_generation.trainer import TextGenerationTask
from tests.engine.cast import carry_out, text_spec

CPU = torch.device("cpu")
THREAD = "batches"


def working() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)]


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "pays", lambda *_: True)


class Kitchen:
    """Makes batches and remembers which, and where."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.threads: set[str] = set()
        self.bad: dict[int, BaseException] = {}

    def __call__(self, index: int) -> int:
        self.made.append(index)
        self.threads.add(threading.current_thread().name)
        if (error := self.bad.pop(index, None)) is not None:
            raise error
        return index * index


def test_a_few_batches_are_made_ahead_in_order_by_one_thread_and_none_beyond_the_end() -> None:
    kitchen = Kitchen()
    batches = Ahead(kitchen, CPU, 6)
    assert batches.take(0) == 0
    deadline = time.monotonic() + 10
    while len(kitchen.made) < 1 + DEPTH and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert kitchen.made == [0, 1, 2][: 1 + DEPTH], "no more than fit"
    assert [batches.take(index) for index in range(1, 6)] == [1, 4, 9, 16, 25]
    batches.close()
    assert kitchen.made == [0, 1, 2, 3, 4, 5]
    assert len(kitchen.threads) == 1 and threading.current_thread().name not in kitchen.threads
    assert not working()


def test_a_step_that_is_taken_again_gets_its_batch_again() -> None:
    kitchen = Kitchen()
    batches = Ahead(kitchen, CPU, 100)
    assert [batches.take(index) for index in (3, 4, 4, 3, 50)] == [9, 16, 16, 9, 2500]
    batches.close()


@pytest.mark.parametrize("error", [bad_data("'a.png' was damaged.", "Restore it."), Interrupted(), MemoryError("all")])
def test_what_goes_wrong_is_raised_at_the_step_that_needs_it(error: BaseException) -> None:
    kitchen = Kitchen()
    kitchen.bad = {2: error}
    batches = Ahead(kitchen, CPU, 100)
    assert [batches.take(index) for index in range(2)] == [0, 1]
    with pytest.raises(type(error)) as raised:
        batches.take(2)
    assert raised.value is error
    assert batches.take(2) == 4, "what can be made now is made"
    batches.close()


def test_sums_are_rounded_as_the_main_thread_rounds_them() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        batches = Ahead(lambda _: torch.get_num_threads(), CPU, 2)
        assert batches.take(0) == 2
        batches.close()
    finally:
        torch.set_num_threads(before)


def test_it_is_for_devices_beside_the_processor_with_a_core_left(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(4)))
    assert ahead.pays(gpu, 1) and ahead.pays(gpu, 2)
    assert not ahead.pays(gpu, 3) and not ahead.pays(CPU, 1)


@pytest.mark.parametrize("command", [Command.PAUSE, Command.STOP, Command.CANCEL])
def test_a_command_ends_the_thread(tmp_path: Path, forced: None, command: Command) -> None:
    code, _ = carry_out(text_spec(tmp_path), {7: command})
    assert code in (Exit.PAUSED, Exit.STOPPED, Exit.CANCELLED)
    assert not working()


def test_a_damaged_file_ends_the_run_at_its_step_with_its_own_words(
    tmp_path: Path, forced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TextGenerationTask.batch

    def batch(task: TextGenerationTask, index: int) -> torch.Tensor:
        if index == 9:
            raise bad_data("The file of 'a.txt' was damaged since it was imported.", "Restore it.")
        return whole(task, index)

    monkeypatch.setattr(TextGenerationTask, "batch", batch)
    code, sink = carry_out(text_spec(tmp_path))
    assert code is Exit.FAILED
    assert (sink.events[-1]["code"], sink.events[-1]["message"]) == (
        "BAD_DATA", "The file of 'a.txt' was damaged since it was imported.",
    )  # fmt: skip
    assert sink.of(Event.STEP)[-1]["step"] == 9, "steps before it were taken"
    assert not working()


def test_the_share_of_waiting_is_what_the_device_really_waited(
    tmp_path: Path, forced: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TextGenerationTask.batch

    def slow(task: TextGenerationTask, index: int) -> torch.Tensor:
        time.sleep(0.05)
        return whole(task, index)

    def share() -> float:
        _, sink = carry_out(text_spec(tmp_path, config={"steps": 15, "sample_every": 0}))
        return sink.of(Event.EVALUATION)[-1]["metrics"][WAITING]

    assert share() < 0.5
    monkeypatch.setattr(TextGenerationTask, "batch", slow)
    (tmp_path / "work").rename(tmp_path / "first")
    assert share() > 0.5

"""Commands are carried out between two steps; the end of the control stream ends everything."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from engine.control import Control, Interrupted
from engine.protocol import Command, Event, Exit
from engine.recipes.simulate.trainer import SimulateTask
from engine.run import run
from engine.team import Order, Solo
from tests.engine.cast import Process, Watcher, carry_out, image_spec, simulate_spec, text_spec


def test_pause_saves_a_checkpoint_and_leaves(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=1000))
    process.read_until("step", at_least=5)
    process.ask(Command.PAUSE)
    assert process.finish() == Exit.PAUSED
    *_, saved, last = process.events
    assert (saved["event"], last["event"]) == ("checkpoint", "paused")
    assert saved["step"] == last["step"] >= 5


def test_cancel_leaves_without_a_checkpoint(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=1000))
    process.read_until("step", at_least=3)
    asked = time.monotonic()
    process.ask(Command.CANCEL)
    assert process.finish() == Exit.CANCELLED
    assert time.monotonic() - asked < 1
    assert process.events[-1]["event"] == "cancelled"
    assert list((tmp_path / "work" / "checkpoints").iterdir()) == []


def test_stop_saves_a_checkpoint_and_says_stopped(tmp_path: Path) -> None:
    code, sink = carry_out(simulate_spec(tmp_path), {7: Command.STOP})
    assert code is Exit.STOPPED
    assert [e["event"] for e in sink.events[-2:]] == ["checkpoint", "stopped"]


def test_sigterm_means_stop(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=1000))
    process.read_until("step", at_least=2)
    os.kill(process.popen.pid, signal.SIGTERM)
    assert process.finish() == Exit.STOPPED


def test_checkpoint_saves_one_and_goes_on(tmp_path: Path) -> None:
    code, sink = carry_out(simulate_spec(tmp_path), {7: Command.CHECKPOINT})
    assert code is Exit.COMPLETED
    assert [e["step"] for e in sink.of(Event.CHECKPOINT)] == [7, 20]


def test_a_garbled_or_unknown_command_is_ignored(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=20))
    for line in ("not json", '{"command": "dance"}', "[]", '{"order": 1}', ""):
        process.say(line)
    assert process.finish() == Exit.COMPLETED


def test_a_long_step_is_given_up_for_a_command(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, step_seconds=600))
    process.read_until("plan")
    process.ask(Command.PAUSE)
    assert process.finish(timeout=5) == Exit.PAUSED
    assert process.events[-1]["step"] == 0


@pytest.mark.parametrize("make", [text_spec, image_spec])
def test_a_command_during_preparation_ends_the_run_before_it_trains(tmp_path: Path, make) -> None:
    code, sink = carry_out(make(tmp_path), {Event.STARTED: Command.CANCEL})
    assert code is Exit.CANCELLED and sink.of(Event.STEP) == []


class Led(Solo):
    """The leader of several processes: what was settled at the last safe point knows nothing of a later command."""

    order = Order()  # type: ignore[assignment]


@pytest.mark.parametrize("team", [Solo, Led])
@pytest.mark.parametrize(
    ("command", "code"),
    [(Command.PAUSE, Exit.PAUSED), (Command.STOP, Exit.STOPPED), (Command.CANCEL, Exit.CANCELLED)],
)
@pytest.mark.parametrize("work", ["artifact", "report"])
def test_a_command_ends_a_run_that_makes_its_result(tmp_path: Path, monkeypatch, team, command, code, work) -> None:
    spec, control = simulate_spec(tmp_path, steps=3), Control()
    sink = Watcher(control, {})

    def long_work(task: SimulateTask, *_: object) -> None:
        control.request(command)
        task.context.breathe()

    with monkeypatch.context() as patch:
        patch.setattr(SimulateTask, work, long_work)
        patch.setattr("engine.run.Solo", team)
        assert run(spec, sink, control) is code
    assert sink.events[-1]["event"] == code.name.lower() and sink.events[-1]["step"] == 3
    assert not (spec.work_dir / "artifact").exists() and control.pending is None
    again, rest = carry_out(spec)
    assert again is Exit.COMPLETED and rest.of(Event.STEP) == [], "nothing is trained twice"


def test_cancel_is_not_undone_by_a_later_pause() -> None:
    control = Control()
    for command in (Command.PAUSE, Command.CANCEL, Command.PAUSE, Command.CHECKPOINT):
        control.request(command)
    with pytest.raises(Interrupted):
        control.breathe()
    assert control.take() is Command.CANCEL
    assert control.take() is None


def test_the_end_of_the_control_stream_kills_the_whole_group(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=10_000), wrap="sleep 600 &")
    process.read_until("step")
    children = psutil.Process(process.popen.pid).children(recursive=True)
    assert [child.name() for child in children] == ["sleep"]
    assert process.popen.stdin
    process.popen.stdin.close()  # as when the supervisor dies
    assert process.finish(timeout=5) == -signal.SIGKILL
    _, alive = psutil.wait_procs(children, timeout=2)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_reader_that_goes_away_stops_the_run_with_a_checkpoint(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=10_000))
    process.read_until("step")
    assert process.popen.stdout
    process.popen.stdout.close()
    assert process.popen.wait(10) == Exit.STOPPED
    assert len(list((tmp_path / "work" / "checkpoints").glob("step-*"))) == 1


def test_a_supervisor_that_hangs_loses_its_run_when_the_lease_runs_out(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, steps=10_000, step_seconds=0.02))
    process.read_until("step")
    process.say('{"lease": 5}\n')
    process.say('{"lease": 0.3}\n')
    assert process.finish(timeout=5) == -9

"""A run of two processes: the same training as one process does, as exact and as easy to end."""

from __future__ import annotations

import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from engine import launch
from engine.board import Board
from engine.processes import Ended
from engine.protocol import Command, Event, Exit, Spec
from tests.engine.cast import carry_out, image_spec, outcome, simulate_spec, temporary_files, text_spec
from tests.engine.crew import Crew, gone, of_process, ranks_of
from tests.engine.test_exact_resume import metrics
from tests.engine.warmth import until

STEPS = 160
LONG = {"steps": STEPS, "evaluate_every": 40, "sample_every": 60}
# Batches of 15 and 16 images: the parts of the two processes differ in size.
PICTURES = {"augmentation": "light", "dropout": 0.0, "epochs": 4, "learning_rate": 0.01}


def losses(events: list[dict[str, Any]]) -> list[float]:
    return [event["metrics"]["train/loss"] for event in events if event["event"] == "step"]


def steps(events: list[dict[str, Any]]) -> list[int]:
    return [event["step"] for event in events if event["event"] == "step"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What an undisturbed run of two processes leaves and reports; with dropout, so random states matter."""
    root = tmp_path_factory.mktemp("whole")
    spec = text_spec(root, config=LONG, processes=2)
    with Crew(spec) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED), crew.output()
    assert temporary_files(root) == [] and not (spec.work_dir / "torchrun").exists()
    return outcome(spec), crew.events


def test_a_run_of_two_reports_once_and_learns(undisturbed):
    _, events = undisturbed
    assert events[0]["event"] == "started" and events[0]["environment"]["processes"] == 2
    assert events[-1]["event"] == "completed"
    assert steps(events) == list(range(1, STEPS + 1))
    reported = losses(events)
    assert all(map(math.isfinite, reported))
    assert sum(reported[-10:]) < sum(reported[:10]) - 5
    assert len([e for e in events if e["event"] == "sample"]) == 2


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The same of pictures."""
    spec = image_spec(tmp_path_factory.mktemp("pictures"), config=PICTURES, processes=2)
    with Crew(spec) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED), crew.output()
    return outcome(spec), crew.events


def agree(one: dict[tuple[str, int], Any], two: dict[tuple[str, int], Any]) -> None:
    assert one.keys() == two.keys()
    for place, values in one.items():
        if place[0] != "sample":
            # Sums are rounded in another order, and training magnifies that; a share that counts wrong is seen.
            assert two[place] == pytest.approx(values, rel=5e-3, abs=2e-3), place


def test_two_processes_train_on_text_as_one_does(tmp_path):
    config = {"dropout": 0.0, "steps": 40, "batch_size": 7}
    (tmp_path / "one").mkdir()
    _, alone = carry_out(text_spec(tmp_path / "one", config=config))
    with Crew(text_spec(tmp_path, config=config, processes=2)) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED), crew.output()
    agree(metrics(alone.events), metrics(crew.events))


def test_two_processes_that_calculate_in_parts_train_as_one_does(tmp_path):
    config = {"dropout": 0.0, "steps": 40, "batch_size": 7, "accumulate": 3}
    (tmp_path / "one").mkdir()
    _, alone = carry_out(text_spec(tmp_path / "one", config=config))
    with Crew(text_spec(tmp_path, config=config, processes=2)) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED), crew.output()
    agree(metrics(alone.events), metrics(crew.events))


def test_shares_of_different_sizes_take_as_many_parts(tmp_path):
    """Of batches of 15 one process has 7 pictures and the other 8, and their normalisations wait for each other."""
    with Crew(image_spec(tmp_path, config={**PICTURES, "epochs": 1, "accumulate": 8}, processes=2)) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED), crew.output()
    assert all(map(math.isfinite, losses(crew.events)))


def test_two_processes_train_on_pictures_as_one_does(pictures, tmp_path):
    _, alone = carry_out(image_spec(tmp_path, config=PICTURES))
    agree(metrics(alone.events), metrics(pictures[1]))


def test_whatever_interrupts_it_the_run_ends_with_the_same_bytes(undisturbed, tmp_path, capsys):
    """One run, ended in five ways one after the other, each time taken up from its last checkpoint."""
    expected, whole = undisturbed
    spec = text_spec(tmp_path, config=LONG, processes=2, checkpoint_seconds=0.0)
    told: dict[tuple[str, int], Any] = {}
    came: list[int] = []

    def take_up(spec: Spec) -> Crew:
        crew = Crew(spec)
        start = crew.read_until(lambda e: e["event"] == "started")["resumed_from"] or 0
        came[start:] = []  # what was not kept in a checkpoint is trained again, and reported again
        if start:
            crew.read_to_step(start + 3)
        else:
            crew.read_to_step(4)
        return crew

    def leave(crew: Crew) -> Ended:
        ended = crew.finish()
        numbers = steps(crew.events)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "each step once, without a gap"
        assert numbers[0] == len(came) + 1
        came.extend(numbers)
        told.update(metrics(crew.events))
        assert gone(crew.ranks().values()), "no rank outlives the end"
        return ended

    for command, code in ((Command.PAUSE, Exit.PAUSED), (Command.STOP, Exit.STOPPED)):
        with take_up(spec) as crew:
            crew.trainer.send(command)
            assert leave(crew) == Ended(code=code)
            assert crew.events[-1] == {"event": code.name.lower(), "step": len(came)}
    for victim in (1, 0, "launcher"):
        with take_up(spec) as crew:
            everyone, ranks = crew.everyone(), crew.ranks()
            os.kill(crew.trainer.pid if victim == "launcher" else ranks[victim][0], signal.SIGKILL)
            began = time.perf_counter()
            assert crew.trainer.wait(5) == Ended(signal=signal.SIGKILL), victim
            took = time.perf_counter() - began
            assert gone(everyone), "poll tells of the end when nobody is left"
            leave(crew)
            assert not any(e["event"] == "failed" for e in crew.events), "a crash is not an error of the run"
        with capsys.disabled():
            print(f"\nkill -9 of {victim}: {took * 1000:.0f} ms until poll tells")
        assert took < 2

    with take_up(spec.model_copy(update={"checkpoint_seconds": 30.0})) as crew:
        assert leave(crew) == Ended(code=Exit.COMPLETED)
    assert outcome(spec) == expected
    assert came == list(range(1, STEPS + 1))
    assert told == metrics(whole)


def test_pictures_resume_exactly_and_with_another_number_of_processes(pictures, tmp_path):
    spec = image_spec(tmp_path, config=PICTURES, processes=2)
    with Crew(spec) as crew:
        crew.read_to_step(1)
        crew.trainer.send(Command.PAUSE)
        assert crew.finish() == Ended(code=Exit.PAUSED)
    at = crew.events[-1]["step"]
    alone = spec.model_copy(update={"work_dir": tmp_path / "alone", "processes": 1})
    shutil.copytree(spec.work_dir, alone.work_dir)
    with Crew(spec) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED)
    assert outcome(spec) == pictures[0]

    code, sink = carry_out(alone)
    assert code is Exit.COMPLETED
    assert sink.of(Event.STARTED)[0]["resumed_from"] == at
    assert math.isfinite(losses(sink.events)[-1])


def test_cancel_kill_and_lease_leave_no_process(tmp_path, capsys):
    spec = text_spec(tmp_path, config={"steps": 1_000_000}, processes=2)

    def on_its_way() -> Crew:
        crew = Crew(spec)
        crew.read_to_step(1)
        with capsys.disabled():
            print(f"\nfirst step of two processes after {time.perf_counter() - crew.began:.2f} s")
        assert len(crew.everyone()) == 3
        return crew

    with on_its_way() as crew:
        everyone = crew.everyone()
        crew.trainer.send(Command.CHECKPOINT)
        saved = crew.read_until(lambda e: e["event"] == "checkpoint")["step"]
        crew.read_to_step(saved + 1)
        crew.trainer.send(Command.CANCEL)
        assert crew.finish() == Ended(code=Exit.CANCELLED)
        assert crew.events[-1]["event"] == "cancelled"
        assert gone(everyone)
    with on_its_way() as crew:
        everyone = crew.everyone()
        assert crew.trainer.kill()
        assert gone(everyone)
        assert crew.trainer.poll() == Ended(signal=signal.SIGKILL)
    with on_its_way() as crew:
        everyone = crew.everyone()
        assert crew.trainer.renew(0.3)
        assert crew.trainer.wait(2.3) == Ended(signal=signal.SIGKILL)
        assert gone(everyone)


SUPERVISOR = """
import sys, time
from pathlib import Path
from engine import launch
from engine.board import Board
trainer = launch.start_trainer(Path(sys.argv[1]), socket_path=None, processes=2)
print(trainer.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("moment", ["starting", "training"])
def test_all_die_with_their_supervisor(moment, tmp_path):
    spec = text_spec(tmp_path, config={"steps": 1_000_000}, processes=2)
    path = tmp_path / "spec.json"
    path.write_text(spec.model_dump_json())
    supervisor = subprocess.Popen(
        [sys.executable, "-P", "-c", SUPERVISOR, str(path)],
        env={**os.environ, "PYTHONPATH": str(launch.ROOT)},
        stdout=subprocess.PIPE,
    )
    assert supervisor.stdout
    launcher = of_process(int(supervisor.stdout.readline()))
    try:
        ranks = until(lambda: len(found := ranks_of(launcher[0])) == 2 and found, 30)
        if moment == "training":
            until(lambda: (spec.work_dir / "checkpoints").exists(), 30)
    finally:
        supervisor.kill()
        supervisor.wait()
        supervisor.stdout.close()
    until(lambda: gone([launcher, *ranks.values()]), 2.0)


def test_what_does_not_fit_is_said_in_words(tmp_path):
    with Crew(text_spec(tmp_path, config={"batch_size": 1}, processes=2)) as crew:
        assert crew.finish() == Ended(code=Exit.FAILED)
    assert [e["code"] for e in crew.events if e["event"] == "failed"] == ["BAD_CONFIG"]
    assert "can't be divided among 2 processes" in crew.events[-1]["message"]

    code, sink = carry_out(text_spec(tmp_path, processes=2))
    assert code is Exit.FAILED and "1 were started" in sink.events[-1]["message"]


def test_a_loss_that_is_not_finite_ends_all_with_one_reason(tmp_path):
    config = {"learning_rate": 1.0, "gradient_clip": 0, "warmup_steps": 0, "weight_decay": 10.0, "steps": 5000}
    with Crew(text_spec(tmp_path, config=config, processes=2)) as crew:
        crew.read_to_step(1)
        everyone = crew.everyone()
        assert crew.finish() == Ended(code=Exit.FAILED)
        assert gone(everyone)
    assert [e["code"] for e in crew.events if e["event"] == "failed"] == ["NOT_FINITE_LOSS"]


def test_a_failure_of_another_rank_alone_is_reported_with_its_reason(tmp_path):
    with Crew(text_spec(tmp_path, config={"steps": 1_000_000}, processes=2)) as crew:
        crew.read_to_step(1)
        everyone = crew.everyone()
        resource.prlimit(crew.ranks()[1][0], resource.RLIMIT_AS, (1 << 20, 1 << 20))
        assert crew.finish() == Ended(code=Exit.FAILED)
        assert gone(everyone)
    assert [e["code"] for e in crew.events if e["event"] == "failed"] == ["OUT_OF_MEMORY"]


def test_a_failure_too_long_for_the_board_is_cut_and_still_told():
    board = Board.make(2)
    assert board.failure() is None and board.code is None
    board.fail(1, {"code": "CODE_ERROR", "message": "ü" * 90_000, "hint": "", "traceback": "t" * 90_000})
    found = Board.open(board.address, 2).failure()
    assert found is not None
    assert found[0] == 1 and found[1]["message"] == "ü" * 2000 and found[1]["traceback"] == ""
    os.close(board.fd)


def test_a_simulated_run_takes_one_process(tmp_path):
    spec = simulate_spec(tmp_path, steps=5).model_copy(update={"processes": 2})
    with Crew(spec) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED)
    assert steps(crew.events) == [1, 2, 3, 4, 5]

"""An interrupted and resumed run ends with the very bytes of an uninterrupted one."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine import ahead
from engine.protocol import Command, Event, Exit, Spec
from tests.engine.cast import Process, carry_out, image_spec, outcome, text_spec

MakeSpec = Callable[..., Spec]
RECIPES = [pytest.param(text_spec, id="text"), pytest.param(image_spec, id="images")]


@pytest.fixture(params=RECIPES)
def make(request: pytest.FixtureRequest) -> MakeSpec:
    return request.param


def metrics(events: list[dict[str, Any]]) -> dict[tuple[str, int], Any]:
    """What was reported, by kind and step; the times of the reports are not part of it."""
    kinds = ("step", "evaluation", "sample")
    said = ((e["event"], e["step"], e.get("metrics") or e["text"]) for e in events if e["event"] in kinds)
    return {(event, step): _of_the_result(figures) for event, step, figures in said}


def _of_the_result(figures: Any) -> Any:
    """Without those of the run on this machine, such as how long the device waited."""
    if not isinstance(figures, dict):
        return figures
    return {name: value for name, value in figures.items() if not name.startswith("run/")}


def whole_run(make: MakeSpec, root: Path) -> tuple[dict[str, str], dict[tuple[str, int], Any], int]:
    root.mkdir()
    spec = make(root)
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return outcome(spec), metrics(sink.events), sink.events[-1]["step"]


def test_a_run_is_a_function_of_its_spec(make: MakeSpec, tmp_path: Path) -> None:
    first, reported, _ = whole_run(make, tmp_path / "first")
    assert (first, reported) == whole_run(make, tmp_path / "second")[:2]

    other = make(tmp_path, seed=8)
    carry_out(other)
    assert outcome(other)["model.safetensors"] != first["model.safetensors"]


def test_two_deterministic_runs_agree_in_every_bit(make: MakeSpec, tmp_path: Path) -> None:
    """Each in a process of its own, as a job has it."""
    found = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        spec = make(tmp_path / name, config={"deterministic": True})
        process = Process(spec)
        assert process.finish() == Exit.COMPLETED, process.events[-1]
        found.append((outcome(spec), metrics(process.events)))
    assert found[0] == found[1]


def test_batches_made_ahead_change_no_bit(make: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, reported, steps = whole_run(make, tmp_path / "alone")
    monkeypatch.setattr(ahead, "pays", lambda *_: True)
    spec = make(tmp_path)
    code, before = carry_out(spec, {steps // 2: Command.PAUSE})
    assert code is Exit.PAUSED
    code, after = carry_out(spec)
    assert code is Exit.COMPLETED
    assert outcome(spec) == expected
    assert metrics(before.events) | metrics(after.events) == reported


def test_pausing_in_the_middle_changes_no_bit(make: MakeSpec, tmp_path: Path) -> None:
    expected, reported, steps = whole_run(make, tmp_path / "whole")
    spec = make(tmp_path)

    # Once right after an evaluation, where what was looked at must not be looked at again.
    code, before = carry_out(spec, {Event.EVALUATION: Command.PAUSE})
    assert code is Exit.PAUSED
    code, after = carry_out(spec, {steps // 2 + 7: Command.STOP})
    assert code is Exit.STOPPED
    code, last = carry_out(spec)

    assert code is Exit.COMPLETED
    assert last.of(Event.STARTED)[0]["resumed_from"] == steps // 2 + 7
    assert outcome(spec) == expected
    assert metrics(before.events) | metrics(after.events) | metrics(last.events) == reported
    parts = [*before.events, *after.events, *last.events]
    assert [e["step"] for e in parts if e["event"] == "step"] == list(range(1, steps + 1))
    evaluations = [e["step"] for e in parts if e["event"] == "evaluation"]
    assert len(evaluations) == len(set(evaluations)), "none was made again after a resume"


def test_pausing_in_the_last_evaluation_changes_no_bit(make: MakeSpec, tmp_path: Path) -> None:
    expected, reported, steps = whole_run(make, tmp_path / "whole")
    spec = make(tmp_path)

    code, before = carry_out(spec, {steps: Command.PAUSE})
    assert code is Exit.PAUSED
    assert not (spec.work_dir / "artifact").exists()
    code, after = carry_out(spec)

    assert code is Exit.COMPLETED
    assert after.of(Event.STEP) == []
    # Where the best weights are kept, the last ones were still to be judged when this checkpoint was written.
    later = {"manifest.json", "best.weights"} if "best.weights" in expected else set()
    left = outcome(spec)
    assert {name: left[name] for name in left if name not in later} == {
        name: expected[name] for name in expected if name not in later
    }
    assert metrics(before.events) | metrics(after.events) == reported


def test_kill_9_at_random_steps_changes_no_bit(make: MakeSpec, tmp_path: Path) -> None:
    expected, reported, steps = whole_run(make, tmp_path / "whole")
    seed = random.randrange(10**6)
    print("seed of the kills:", seed)
    dice = random.Random(seed)
    spec = make(tmp_path, checkpoint_seconds=0.0)

    told: dict[tuple[str, int], Any] = {}
    for _ in range(2):
        process = Process(spec)
        start = process.read_until("started")["resumed_from"] or 0
        process.read_until("step", at_least=start + dice.randint(1, steps // 3))
        os.kill(process.popen.pid, signal.SIGKILL)
        assert process.finish() == -signal.SIGKILL
        told |= metrics(process.events)
    code, last = carry_out(spec.model_copy(update={"checkpoint_seconds": 30.0}))

    assert code is Exit.COMPLETED
    assert last.of(Event.STARTED)[0]["resumed_from"] > 0
    assert outcome(spec) == expected
    assert told | metrics(last.events) == reported

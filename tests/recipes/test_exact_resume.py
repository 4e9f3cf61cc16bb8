"""Every recipe that iterates goes on exactly where it was: after a pause, and after a kill without a word.

All runs are deterministic where the recipe has that setting. Each test makes the whole run a second time, in pieces or
by batches of a thread, and compares all bits: that two runs with one seed agree is proved on the way."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import torch

from engine import ahead
from engine.catalogue import check_config
from engine.protocol import Command, Exit, Spec
from tests.engine.cast import Process, carry_out
from tests.recipes import specs

MakeSpec = Callable[..., Spec]
NAMES = [module.name for module in iter_modules(specs.__path__)]
WITHOUT_BATCHES = {"anomaly", "table-baseline"}  # trees, which take all rows


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed, and how to make its spec again."""

    make: MakeSpec
    spec: Spec
    reported: dict[tuple[str, int], Any]
    steps: int

    def again(self, root: Path, **changes: Any) -> Spec:
        """The same run in another folder."""
        return repeatable(self.make(root)).model_copy(update={"base": self.spec.base, **changes})


def repeatable(spec: Spec) -> Spec:
    """The same run, of operations only that give the same bits each time."""
    if not hasattr(check_config(spec.recipe, spec.config), "deterministic"):
        assert spec.recipe in WITHOUT_BATCHES, "what trains by torch has the setting"
        return spec
    return spec.model_copy(update={"config": spec.config | {"deterministic": True}})


@pytest.fixture(scope="module", params=NAMES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    make = import_module(f"tests.recipes.specs.{request.param}").spec
    spec = repeatable(make(tmp_path_factory.mktemp(request.param)))
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    assert torch.are_deterministic_algorithms_enabled() or spec.recipe in WITHOUT_BATCHES
    return Whole(make, spec, said(sink.events), sink.events[-1]["step"])


def files_of(spec: Spec) -> dict[str, str]:
    """SHA-256 of each file of the result."""
    folder = spec.work_dir / "artifact"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def said(events: list[dict[str, Any]]) -> dict[tuple[str, int], Any]:
    """What was reported of the result, by kind and step; figures of the machine are no part of it."""
    found = {}
    for event in events:
        if event["event"] == "sample":
            found["sample", event["step"]] = event["text"]
        elif event["event"] in ("step", "evaluation"):
            figures = {name: value for name, value in event["metrics"].items() if not name.startswith("run/")}
            found[event["event"], event["step"]] = figures
    return found


def test_two_pauses_change_no_bit(whole: Whole, tmp_path: Path) -> None:
    spec = whole.again(tmp_path)
    events = []
    first, second = max(1, whole.steps // 3), max(2, 2 * whole.steps // 3)
    for step, command, ending in ((first, Command.PAUSE, Exit.PAUSED), (second, Command.STOP, Exit.STOPPED)):
        code, sink = carry_out(spec, {step: command})
        assert code is ending, sink.events[-1]
        events += sink.events
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    assert sink.events[0]["resumed_from"] == second
    assert files_of(spec) == files_of(whole.spec)
    assert said([*events, *sink.events]) == whole.reported


def test_a_kill_without_a_word_changes_no_bit(whole: Whole, tmp_path: Path) -> None:
    spec = whole.again(tmp_path, checkpoint_seconds=0.0)
    process = Process(spec)
    process.read_until("step", at_least=max(1, whole.steps // 2))
    os.killpg(process.popen.pid, signal.SIGKILL)
    list(process.read())
    process.popen.wait()
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    assert sink.events[0]["resumed_from"]
    assert files_of(spec) == files_of(whole.spec)
    assert said([*process.events, *sink.events]) == whole.reported


def test_batches_made_ahead_change_no_bit(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    alone = ahead.Ahead.take
    monkeypatch.setattr(ahead, "pays", lambda *_: True)
    monkeypatch.setattr(ahead.Ahead, "take", lambda own, index: taken.append(index) or alone(own, index))
    spec = whole.again(tmp_path)
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    assert bool(taken) is (spec.recipe not in WITHOUT_BATCHES)
    assert files_of(spec) == files_of(whole.spec)
    assert said(sink.events) == whole.reported

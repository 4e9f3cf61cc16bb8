"""Whatever goes wrong ends with a reason and a way out."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import RecipeConfig
from engine.device import Device
from engine.events import ListSink
from engine.protocol import EngineError, Event, Exit, FailureCode, Spec
from engine.run import explain
from engine.task import Context, Plan
from engine.training import TorchTask
from tests.engine.cast import Process, carry_out, simulate_spec, spec, text_spec


@pytest.mark.parametrize(
    ("failure", "code"),
    [("error", "SIMULATED"), ("not_finite", "NOT_FINITE_LOSS"), ("out_of_memory", "OUT_OF_MEMORY")],
)
def test_a_failure_is_reported_with_code_hint_and_traceback(tmp_path: Path, failure: str, code: str) -> None:
    exit_code, sink = carry_out(simulate_spec(tmp_path, failure=failure, fail_at_step=4))
    assert exit_code is Exit.FAILED
    failed = sink.events[-1]
    assert failed["event"] == "failed" and failed["code"] == code
    assert failed["message"] and failed["hint"] and "Traceback" in failed["traceback"]
    assert [e["step"] for e in sink.of(Event.STEP)] == [1, 2, 3]


@pytest.mark.parametrize(("failure", "code"), [("crash", 70), ("kill", -signal.SIGKILL)])
def test_a_crash_is_a_crash(tmp_path: Path, failure: str, code: int) -> None:
    process = Process(simulate_spec(tmp_path, failure=failure, fail_at_step=4))
    assert process.finish() == code
    assert "failed" not in [e["event"] for e in process.events]


def test_a_hang_says_and_does_nothing_more(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path, failure="hang", fail_at_step=4))
    process.read_until("step", at_least=3)
    process.say('{"command": "cancel"}')
    with pytest.raises(Exception, match="timed out"):
        process.popen.wait(0.5)
    process.popen.kill()
    process.finish()


def test_a_failure_of_the_first_attempts_lets_a_later_one_complete(tmp_path: Path) -> None:
    first = simulate_spec(tmp_path, failure="error", fail_at_step=4, fail_attempts=2)
    assert carry_out(first)[0] is Exit.FAILED
    assert carry_out(first.model_copy(update={"attempt": 3}))[0] is Exit.COMPLETED


@pytest.mark.parametrize(
    ("recipe", "config", "part"),
    [("alchemy", {}, "no recipe"), ("simulate", {"steps": 0}, "steps"), ("simulate", {"colour": 1}, "colour")],
)
def test_a_wrong_recipe_or_setting_is_named(tmp_path: Path, recipe: str, config: dict[str, Any], part: str) -> None:
    code, sink = carry_out(spec(tmp_path, recipe, config))
    assert code is Exit.FAILED
    assert sink.events[-1]["code"] == FailureCode.BAD_CONFIG and part in sink.events[-1]["message"]


def test_a_spec_that_cannot_be_read_is_a_reported_failure(tmp_path: Path) -> None:
    process = Process(simulate_spec(tmp_path), wrap=f"echo '{{}}' > {tmp_path}/spec.json;")
    assert process.finish() == Exit.FAILED
    assert process.events[-1]["code"] == "BAD_CONFIG"


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, sink = carry_out(text_spec(tmp_path, device="cuda:7"))
    assert code is Exit.FAILED and sink.events[-1]["code"] == FailureCode.BAD_CONFIG


def test_memory_of_torch_is_recognised() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**45)
    assert explain(refused.value).code is FailureCode.OUT_OF_MEMORY
    assert explain(torch.OutOfMemoryError("CUDA out of memory")).code is FailureCode.OUT_OF_MEMORY
    assert explain(RuntimeError("shape mismatch")).code is FailureCode.CODE_ERROR


def test_a_run_that_diverges_ends_before_its_weights_are_spoilt(tmp_path: Path) -> None:
    wild = {"learning_rate": 1.0, "weight_decay": 10.0, "gradient_clip": 0.0, "warmup_steps": 0, "steps": 2000}
    code, sink = carry_out(text_spec(tmp_path, config=wild))
    assert code is Exit.FAILED
    failed = sink.events[-1]
    assert failed["code"] == FailureCode.NOT_FINITE_LOSS and "learning rate" in failed["hint"]
    assert all(math.isfinite(e["metrics"]["train/loss"]) for e in sink.of(Event.STEP))


class Spoiler(TorchTask):
    """Its loss or its gradient stops being a number at step 3."""

    def __init__(self, what: str) -> None:
        context = Context(Spec(job="j", recipe="none", work_dir=Path("/")), RecipeConfig(), ListSink())
        plan = Plan(10, 10, 1, 1, 1, 0)
        super().__init__(context, Device(torch.device("cpu"), None), torch.nn.Linear(2, 1), plan, 0.1, 1.0)
        self.what = what

    def learning_rate(self, index: int) -> float:
        return 0.1

    def examples(self, index: int) -> int:
        return 1

    def batch(self, index: int) -> torch.Tensor:
        return torch.ones(1, 2) * (math.nan if index == 2 and self.what == "loss" else 1.0)

    def loss(self, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = self.model(batch).square().mean()
        if self.what == "gradient":
            # Finite, but its derivative is not: the square root at 0.
            loss = loss + (self.model.bias - self.model.bias.detach()).abs().sqrt().sum()
        return loss, {}


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_bad_number_never_reaches_the_weights(what: str) -> None:
    task = Spoiler(what)
    steps = 2 if what == "loss" else 0
    for index in range(steps):
        task.step(index)
    before = task.state()["model.safetensors"]
    with pytest.raises(EngineError) as failure:
        task.step(steps)
    assert failure.value.code is FailureCode.NOT_FINITE_LOSS
    assert what in failure.value.message
    assert task.state()["model.safetensors"] == before

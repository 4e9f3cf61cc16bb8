"""A task that trains nothing: it waits, reports plausible figures, and fails when told to."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time

from engine.protocol import EngineError, FailureCode
from engine.recipes.simulate.config import SimulateConfig
from engine.report import AnyBlock
from engine.task import Context, Plan, json_bytes

SLICE_SECONDS = 0.05  # how long a wait goes on before it looks whether the run is to end


def build(context: Context) -> SimulateTask:
    """Make the simulated task of a spec."""
    return SimulateTask(context)


class SimulateTask:
    """See `engine.task.Task`."""

    def __init__(self, context: Context) -> None:
        config = context.config
        assert isinstance(config, SimulateConfig)
        self.config = config
        self.context = context
        self.plan = Plan(
            total_steps=config.steps,
            steps_per_epoch=max(1.0, config.steps / 10),
            parameters=0,
            train_items=0,
            validation_items=0,
            evaluate_every=config.evaluate_every,
            sample_every=config.sample_every,
        )
        self.taken = 0
        self.waited = 0.0
        self._due: float | None = None  # monotonic time at which the next step ends
        self._held = b"\x01" * (config.memory << 20)  # not zeros: those would take no memory

    def step(self, index: int) -> tuple[dict[str, float], int]:
        if self._fails_at(index + 1):
            self._fail(index + 1)
        self._wait(self.config.seconds_per_step)
        self.taken = index + 1
        return {"train/loss": self._loss(index + 1), "train/learning_rate": 1e-3}, 1

    def evaluate(self, final: bool) -> dict[str, float]:
        loss = self._loss(self.taken) + 0.05
        return {"validation/loss": loss, "validation/accuracy": math.exp(-loss)}

    def sample(self, index: int) -> tuple[str, str] | None:
        return "text", f"A simulated sample after {index} steps."

    def state(self) -> dict[str, bytes]:
        return {"simulation.json": json_bytes({"taken": self.taken})}

    def restore(self, files: dict[str, bytes]) -> None:
        self.taken = json.loads(files["simulation.json"])["taken"]

    def report(self) -> list[AnyBlock]:
        return []

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        return {}  # nothing was trained

    def _loss(self, step: int) -> float:
        """Falls like a real one, with noise that is a function of seed and step."""
        noise = random.Random(self.context.spec.seed * 1_000_003 + step).gauss(0, 0.02)
        return max(0.01, 0.1 + 2.5 * math.exp(-4 * step / self.config.steps) + noise)

    def _wait(self, seconds: float) -> None:
        """Wait for the end of a step, by a timetable, so that a thousand short steps don't add up errors."""
        now = time.monotonic()
        start = now if self._due is None or now - self._due > 1 else self._due
        self._due = start + seconds
        while (left := self._due - time.monotonic()) > 0:
            # An Event and not time.sleep, which fails under a faked clock.
            threading.Event().wait(min(left, SLICE_SECONDS))
            try:
                self.context.breathe()
            except Exception:
                self._due = None
                raise

    def _fails_at(self, step: int) -> bool:
        config = self.config
        if config.fail_attempts and self.context.spec.attempt > config.fail_attempts:
            return False
        return step == config.fail_at_step

    def _fail(self, step: int) -> None:
        match self.config.failure:
            case "error":
                raise EngineError(
                    FailureCode.SIMULATED,
                    f"The simulator was told to fail at step {step}.",
                    "Clear the failure setting to let it complete.",
                )
            case "crash":
                os._exit(70)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "not_finite":
                raise EngineError(
                    FailureCode.NOT_FINITE_LOSS,
                    f"The loss is not finite at step {step} (simulated).",
                    "Clear the failure setting to let it complete.",
                )
            case "out_of_memory":
                raise MemoryError("simulated")
            case "hang":
                while True:
                    threading.Event().wait(3600)

"""Settings of the simulator."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from engine.config import RecipeConfig, setting

Failure = Literal["none", "error", "crash", "kill", "not_finite", "out_of_memory", "hang"]


class SimulateConfig(RecipeConfig):
    """A job that trains nothing: it waits, reports, and fails when told to."""

    steps: int = setting(100, "Steps", "How many steps the job pretends to take.", "Pace", ge=1, le=10_000_000)
    step_seconds: float = setting(
        0.1, "Seconds per step", "How long a step takes; 0 for as fast as possible.", "Pace", ge=0, le=3600
    )
    duration: float | None = setting(
        None,
        "Duration in seconds",
        "Length of the whole run; when given, it replaces the seconds per step.",
        "Pace",
        gt=0,
        le=604_800,
    )
    evaluate_every: int = setting(
        10,
        "Evaluate every",
        "Steps between two pretended evaluations; 0 for none.",
        "Pace",
        ge=0,
        le=1_000_000,
    )
    failure: Failure = setting(
        "none",
        "Failure",
        "Error: an ordinary error. Crash: the process exits with code 70. Kill: it kills itself. Not finite: "
        "the loss is no number. Out of memory: memory runs out. Hang: it stops answering.",
        "Failure",
    )
    fail_at_step: int | None = setting(
        None,
        "Fail at step",
        "The step at which it fails; needed with a failure.",
        "Failure",
        ge=1,
        le=10_000_000,
    )
    fail_attempts: int = setting(
        0,
        "Attempts that fail",
        "Only this many attempts fail and a later one succeeds; 0: every attempt fails.",
        "Failure",
        ge=0,
        le=1000,
    )
    memory: int = setting(0, "Memory in MiB", "Memory that the job holds while it runs.", "Advanced", ge=0, le=65_536)
    sample_every: int = setting(
        0, "Sample every", "Steps between two pretended samples; 0 for none.", "Advanced", ge=0, le=1_000_000
    )

    @model_validator(mode="after")
    def failure_has_a_step(self) -> Self:
        if self.failure != "none" and self.fail_at_step is None:
            raise ValueError("Say at which step it fails: set fail_at_step.")
        if self.failure == "none" and self.fail_at_step is not None:
            raise ValueError("Say how it fails: set failure, or leave fail_at_step empty.")
        if self.fail_at_step is not None and self.fail_at_step > self.steps:
            raise ValueError(f"It would never fail: fail_at_step {self.fail_at_step} is after the last step.")
        return self

    @property
    def seconds_per_step(self) -> float:
        """Seconds that one step takes, whichever way the pace was given."""
        return self.step_seconds if self.duration is None else self.duration / self.steps

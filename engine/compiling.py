"""Steps that run as code which torch's compiler has written for them, where that pays."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from engine import eager
from engine.memory import ran_out
from engine.task import Context, Plan

if TYPE_CHECKING:
    from engine.training import TorchTask

# Compiling takes about a minute. Below so much work, counted as steps times weights, a run has ended before the faster
# steps have made up for it: 2,000 steps of a hundred million weights, or 100,000 of two million.
WORTH = 2e11
BACKEND = "inductor"
SHAPES = 64  # of batches and parts of them, each compiled for itself

Loss = Callable[[Any], tuple[torch.Tensor, dict[str, torch.Tensor]]]


def wanted(context: Context, device: torch.device, plan: Plan) -> bool:
    """Whether the setting asks for compiled steps; 'auto' on a GPU for long runs of large networks, a function of the
    run as a whole, so that a resumed one decides alike. A trial is too short for it."""
    choice = getattr(context.config, "compile", "off")
    if choice == "off" or context.spec.trial_seconds is not None:
        return False
    if choice == "on":
        return True
    deterministic = getattr(context.config, "deterministic", False)
    return device.type == "cuda" and not deterministic and plan.total_steps * plan.parameters >= WORTH


class Compiled:
    """A task's loss. The first call compiles it; where that fails, the run says so and goes on without."""

    def __init__(self, task: TorchTask) -> None:
        self._task = task
        self._loss: Loss = task.loss
        self._run: Loss | None = None

    def __call__(self, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if self._run is None:
            self._run = self._tried(batch)
        return self._run(batch)

    def _tried(self, batch: Any) -> Loss:
        """The compiled loss, once it has calculated this batch forwards and backwards and left no trace of it."""
        task, log = self._task, self._task.context.log
        if not task.compilable:
            if getattr(task.context.config, "compile", "off") == "on":
                log("Runs of this kind can't be compiled, so it trains as it is.", "warning")
            return self._loss
        started = time.monotonic()
        try:
            run = _compiled(self._loss)
            with _undisturbed(task.model, task.device.torch):
                loss, _ = run(batch)
                # Gradients are asked for and not added up, so no hook of a team sends them.
                torch.autograd.grad(loss, task.parameters, allow_unused=True)
        except Exception as error:
            if ran_out(error):
                raise  # it is tried again with a smaller part of the batch
            log(f"The model could not be compiled, so it trains as it is: {_reason(error)}", "warning")
            return self._loss
        log(f"The model was compiled in {time.monotonic() - started:.0f} seconds.")
        return run


def _compiled(loss: Loss) -> Loss:
    # In this process: a run that is cancelled leaves nothing behind.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    settings = eager.use_compiler().config
    settings.recompile_limit = SHAPES
    settings.suppress_errors = False
    # Each shape for itself: code for any shape would depend on which came first, and a resumed run would differ.
    return torch.compile(loss, dynamic=False, backend=BACKEND)


@contextmanager
def _undisturbed(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Random states and what a network counts (batch normalisation) are afterwards what they were before."""
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    gpus = [device.index or 0] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        for buffer, before in kept:
            buffer.copy_(before)


def _reason(error: BaseException) -> str:
    """The first line of what lies at the bottom of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {line}"[:300]

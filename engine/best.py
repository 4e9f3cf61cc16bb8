"""The lowest validation loss of a run: where it was, whether it is long ago, and its weights where they are kept."""

from __future__ import annotations

import math
from typing import Any, cast

from engine.events import finite
from engine.task import KeepingTask, Task
from engine.team import Team

FILE = "best.weights"  # in a checkpoint, beside what the task keeps
LOSS = "validation/loss"
BEST_LOSS, BEST_STEP = "best/validation/loss", "best/step"


class Best:
    """Of a run by its task and its plan. Every process of a team has the same figures; rank 0 has the weights."""

    def __init__(self, task: Task, team: Team) -> None:
        self.task = task
        self.plan = task.plan
        self.team = team
        self.metrics: dict[str, float] = {}  # BEST_LOSS and BEST_STEP, once there was an evaluation with a loss
        self._weights = b""

    def take(self, step: int, metrics: dict[str, float]) -> None:
        """Look at an evaluation of the weights after `step`, which the task has now."""
        loss = metrics.get(LOSS, math.nan)
        if not loss < self.metrics.get(BEST_LOSS, math.inf):
            return
        self.metrics = {BEST_LOSS: loss, BEST_STEP: step}
        if self.plan.keep_best and self.team.rank == 0:
            self._weights = cast(KeepingTask, self.task).weights()

    def long_ago(self, step: int) -> bool:
        """Whether as many evaluations as the plan bears, the one after `step` among them, brought no lower loss."""
        plan = self.plan
        if not (plan.patience and plan.evaluate_every and self.metrics):
            return False
        return step - self.metrics[BEST_STEP] >= plan.patience * plan.evaluate_every

    def put_back(self, step: int, last: float) -> str:
        """Have the task take the best weights where they are kept and those after `step`, of the loss `last`, are
        others; what was done as a sentence, '' when nothing was. No step may follow."""
        if not (self.plan.keep_best and self.metrics) or self.metrics[BEST_STEP] == step:
            return ""
        cast(KeepingTask, self.task).put_back(self.team.spread(self._weights))
        return (
            f"The weights of step {self.metrics[BEST_STEP]:,} are kept: their validation loss was "
            f"{self.metrics[BEST_LOSS]:.4g}, that of the last step {last:.4g}."
        )

    def files(self) -> dict[str, bytes]:
        """What a checkpoint holds of it beside the metrics."""
        return {FILE: self._weights} if self._weights else {}

    def restore(self, metrics: dict[str, Any], files: dict[str, bytes]) -> None:
        """Go on from what a checkpoint held."""
        if self.plan.keep_best and FILE not in files:
            return  # written by a release that kept none: the best is sought from here on
        self.metrics = metrics
        self._weights = b"" if self.team.rank else files.get(FILE, b"")

    def kept(self) -> dict[str, float]:
        """The metrics for a checkpoint."""
        return {name: value for name, value in self.metrics.items() if finite(value) is not None}

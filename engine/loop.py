"""The training loop: restore, then step after step until the plan is done or somebody says stop.

Between two steps everything is at rest, so that is where evaluations, samples, checkpoints and commands
have their place. What a step does is the task's business.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from engine.best import LOSS, Best
from engine.checkpoint import Checkpoint, Checkpoints
from engine.control import Control, Interrupted
from engine.events import Sink, finite
from engine.files import remove_leftovers, sha256, write_folder
from engine.later import Later
from engine.protocol import Command, EngineError, Event, Exit, FailureCode
from engine.report import REPORT, pack
from engine.task import Task
from engine.team import Order, Solo, Team

WAITING = "run/waiting_share"
SMOOTHING = 0.1  # weight of the newest step in the reported examples per second


# How a command that ends the run is answered.
ENDINGS = {
    Command.PAUSE: (Event.PAUSED, Exit.PAUSED),
    Command.STOP: (Event.STOPPED, Exit.STOPPED),
    Command.CANCEL: (Event.CANCELLED, Exit.CANCELLED),
}


def leave(command: Command, step: int, sink: Sink) -> Exit:
    """Say that the run ends by a command after `step` steps."""
    event, code = ENDINGS[command]
    sink.emit(event, step=step)
    return code


class Loop:
    """One run of a task."""

    def __init__(
        self,
        task: Task,
        checkpoints: Checkpoints,
        sink: Sink,
        control: Control,
        checkpoint_seconds: float,
        artifact: Path,
        team: Team | None = None,
    ) -> None:
        self.task = task
        self.plan = task.plan
        self.later = Later(checkpoints)
        self.sink = sink
        self.control = control
        self.checkpoint_seconds = checkpoint_seconds
        self.artifact = artifact
        self.team = team or Solo()
        self.team.wish = self.wish
        self.done = 0  # steps that were taken
        self.saved: int | None = None  # the step of the last checkpoint
        self.observed = 0  # the step after which evaluation and sample were last looked after
        self.latest: dict[str, float] = {}  # newest value of each metric
        self.best = Best(task, self.team)
        self.named: set[str] = set()  # metrics of the evaluation after `observed`, if there was one
        self.seconds_per_example = 0.0
        self.begun = 0  # steps that were taken in this process
        self.trained_seconds = 0.0  # spent on steps since the last look at the share of waiting
        self.waited = 0.0  # of the task's, up to that look

    def run(self, checkpoint: Checkpoint | None) -> Exit:
        """Train to the end of the plan, from the checkpoint on if there is one."""
        try:
            return self._run(checkpoint)
        finally:
            self.later.close()  # however the run ends, what was begun is written

    def _run(self, checkpoint: Checkpoint | None) -> Exit:
        self.restore(checkpoint)
        self.announce()
        while True:
            self.observe_when_due()
            self.team.settle()
            self.save_when_due()
            if (ending := self.obey()) is not None:
                return ending
            if self.over:
                break
            self.train_one_step()
        return self.finish()

    def restore(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            self.task.restore(checkpoint.files)
            self.done = self.saved = checkpoint.step
            self.observed = checkpoint.progress["observed"]
            self.latest = checkpoint.progress["latest"]
            self.named = set(checkpoint.progress.get("named", ()))
            self.best.restore(checkpoint.progress["best"], checkpoint.files)
        self.saved_at = self.stepped_at = time.monotonic()

    def announce(self) -> None:
        plan = self.plan
        self.sink.emit(
            Event.PLAN,
            total_steps=plan.total_steps,
            steps_per_epoch=plan.steps_per_epoch,
            parameters=plan.parameters,
            train_items=plan.train_items,
            validation_items=plan.validation_items,
        )
        self.sink.emit(Event.PHASE, phase="training")

    @property
    def over(self) -> bool:
        """Whether the plan is done, or its patience is at an end."""
        return self.done >= self.plan.total_steps or (self.observed == self.done and self.best.long_ago(self.done))

    def train_one_step(self) -> None:
        try:
            metrics, examples = self.task.step(self.done)
        except Interrupted:
            return  # the step was not taken; the command is carried out at the safe point
        except EngineError as error:
            if error.code == FailureCode.UNAVAILABLE and self.done:
                self.save()  # what was made before was paid for; the next attempt goes on from here
            raise
        self.done += 1
        now = time.monotonic()
        self.trained_seconds += now - self.stepped_at
        taken = (now - self.stepped_at) / examples
        self.stepped_at = now
        self.begun += 1
        # The first step also loads libraries and compiles: it says nothing of those that follow.
        weight = SMOOTHING if self.begun > 2 else 1.0
        self.seconds_per_example += weight * (taken - self.seconds_per_example)
        self.latest.update(metrics)
        self.sink.step(
            self.done, self.done / self.plan.steps_per_epoch, metrics, 1 / max(self.seconds_per_example, 1e-9)
        )

    def observe_when_due(self) -> None:
        """Evaluate and sample, once per step even when the run is interrupted right after."""
        if self.observed == self.done or self.done == 0:
            return
        named: set[str] = set()
        try:
            if self.looks_now():
                named = self.evaluate()
            if _due(self.done, self.plan.sample_every):
                self.sample()
        except Interrupted:
            self.team.settle(anew=True)
            return  # not observed: done again after the resume
        self.observed, self.named = self.done, named

    def looks_now(self) -> bool:
        """Whether an evaluation is due. The end of the run has one of its own; where the best weights are kept it
        needs one before, of the last."""
        if self.done >= self.plan.total_steps:
            return self.plan.keep_best
        return _due(self.done, self.plan.evaluate_every)

    def evaluate(self) -> set[str]:
        """On the way; the names of its metrics."""
        metrics = self.task.evaluate(False)
        self.latest.update(metrics)
        self.best.take(self.done, metrics)
        self.tell(metrics)
        return set(metrics)

    def evaluate_result(self) -> None:
        """At the end, of the weights that are kept. Metrics of a step are told once: where the last weights were
        evaluated already, those stand in the curves, and of the result what is new."""
        metrics = self.task.evaluate(True)
        self.latest.update(metrics)
        if not self.plan.keep_best:
            self.best.take(self.done, metrics)
        if new := {name: value for name, value in metrics.items() if name not in self.named}:
            self.tell(new)

    def tell(self, metrics: dict[str, float]) -> None:
        shown = {name: finite(value) for name, value in (metrics | self.waiting()).items()}
        self.sink.emit(Event.EVALUATION, step=self.done, time=time.time(), metrics=shown)
        self.stepped_at = time.monotonic()  # throughput is that of training

    def waiting(self) -> dict[str, float]:
        """The share of the training time since the last look in which the device waited for data. A figure of this
        run on this machine, so it is no part of the result."""
        if not self.trained_seconds:
            return {}
        share = (self.task.waited - self.waited) / self.trained_seconds
        self.waited, self.trained_seconds = self.task.waited, 0.0
        return {WAITING: min(1.0, max(0.0, share))}

    def sample(self) -> None:
        made = self.task.sample(self.done) if self.team.rank == 0 else None
        if made is not None:
            self.sink.emit(Event.SAMPLE, step=self.done, kind=made[0], text=made[1])
        self.stepped_at = time.monotonic()

    def save_when_due(self) -> None:
        """By wall time, and at the end, so that nothing is trained twice when the finish is cut short."""
        if self.over or (self.done and self.team.order.save):
            self.save()
        self.later.look()

    def wish(self) -> Order:
        """What this process would do at a safe point; of several processes, that of rank 0 counts."""
        command = Command.STOP if self.sink.broken else self.control.pending
        return Order(command, time.monotonic() - self.saved_at >= self.checkpoint_seconds)

    def save(self) -> None:
        """Begin to write a checkpoint, unless this step has one."""
        if self.saved == self.done:
            return
        progress = {
            "observed": self.observed,
            "latest": _finite_only(self.latest),
            "best": self.best.kept(),
            "named": sorted(self.named),
        }
        files = self.task.state() | self.best.files()
        if self.team.rank == 0:
            self.later.save(self.done, progress, files)
        self.saved = self.done
        self.saved_at = self.stepped_at = time.monotonic()

    def obey(self) -> Exit | None:
        """Carry out the waiting command; the way the run ends by it, or None when it goes on."""
        command = self.team.order.command
        if command is None:
            return None
        if command is not Command.CHECKPOINT:
            return self.end_by(command)
        self.control.drop(command)
        self.save()
        self.later.wait()
        return None

    def end_by(self, command: Command) -> Exit:
        """End the run as a command says, which must be one that ends it."""
        self.control.drop(command)
        if command is not Command.CANCEL:
            self.save()
            self.later.wait()
        return leave(command, self.done, self.sink)

    def choose_weights(self) -> None:
        """Have the task take the weights that the result shall have, and say so. No checkpoint follows."""
        said = self.best.put_back(self.done, self.latest.get(LOSS, math.nan))
        if self.done < self.plan.total_steps:
            early = f"Ended early: {self.plan.patience} evaluations in a row brought no lower validation loss."
            said = f"{early} {said}".strip()
        if said:
            self.sink.emit(Event.LOG, level="info", message=said)

    def finish(self) -> Exit:
        """The last evaluation and the result; a command that ends the run still counts until it is there."""
        try:
            self.sink.emit(Event.PHASE, phase="evaluating")
            self.choose_weights()
            self.evaluate_result()
            self.sink.emit(Event.PHASE, phase="saving")
        except Interrupted:
            pass
        self.later.wait()
        self.team.settle(anew=True)
        if self.team.order.command not in (None, Command.CHECKPOINT) and (ending := self.obey()) is not None:
            return ending
        if self.team.rank:
            return Exit.COMPLETED  # the result is the business of rank 0
        metrics = _finite_only({**self.latest, **self.best.metrics})
        try:
            files = self.task.artifact(metrics)
            if blocks := self.task.report():
                files[REPORT] = pack(blocks)
        except Interrupted:
            # Nothing of the result is written yet. The other processes have left: there is nobody to agree with.
            return self.end_by(self.wish().command or Command.STOP)
        listing = write_artifact(self.artifact, files)
        self.sink.emit(Event.COMPLETED, step=self.done, metrics=metrics, artifact=listing)
        return Exit.COMPLETED


def write_artifact(folder: Path, files: dict[str, bytes]) -> list[dict[str, Any]]:
    """Put the result in place, whole or not at all, and list it as `completed` does."""
    remove_leftovers(folder.parent)
    write_folder(folder, files)
    return [{"name": n, "sha256": sha256(data), "bytes": len(data)} for n, data in files.items()]


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _finite_only(values: dict[str, float]) -> dict[str, float]:
    """In the order of their names, which a resumed run shares with an uninterrupted one."""
    return {name: value for name, value in sorted(values.items()) if finite(value) is not None}

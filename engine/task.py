"""What a recipe gives to the loop, and what the loop gives to a recipe."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engine.config import RecipeConfig
from engine.events import Sink
from engine.protocol import Event, Spec
from engine.report import AnyBlock
from engine.team import Solo, Team


@dataclass(frozen=True)
class Context:
    """What a recipe needs to build its task."""

    spec: Spec
    config: RecipeConfig
    sink: Sink
    breathe: Callable[[], None] = field(default=lambda: None)  # call inside long work; may raise Interrupted
    team: Team = field(default_factory=Solo)  # the processes of this run
    at_end: ExitStack = field(default_factory=ExitStack)  # closed when the attempt ends, however it does
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)  # what, how many of how many; for the report

    def log(self, message: str, level: str = "info") -> None:
        """Tell whoever watches about a decision that was taken for them."""
        self.sink.emit(Event.LOG, level=level, message=message)

    def note_left_out(self, what: str, count: int, of: int) -> None:
        """Keep for the report (`engine.report.left_out`) what of the data is not used, where there is such."""
        if count:
            self.left_out[what] = (count, of)


@dataclass(frozen=True)
class Plan:
    """What a run will do."""

    total_steps: int
    steps_per_epoch: float
    parameters: int
    train_items: int
    validation_items: int
    evaluate_every: int  # steps between two evaluations; 0: only the last one
    sample_every: int = 0  # steps between two samples; 0: none
    keep_best: bool = False  # the result has the weights of the lowest validation loss, else those of the last step
    patience: int = 0  # evaluations without a lower validation loss that end the run; 0: none do
    fixed: bool = False  # total_steps would be the same with any number of items


class Task(Protocol):
    """A recipe at work. Steps are numbered from 0 here: step i makes the i + 1st update."""

    plan: Plan
    waited: float  # seconds so far in which the device had to wait for data

    def step(self, index: int) -> tuple[dict[str, float], int]:
        """Make one update; its metrics, and the number of examples it took. A function of the task's
        state and `index` alone: what is random in it comes from (seed, index) or from saved states."""
        ...

    def evaluate(self, final: bool) -> dict[str, float]:
        """Metrics on the validation part; `final` asks for all of it. Changes nothing in the task."""
        ...

    def sample(self, index: int) -> tuple[str, str] | None:
        """What the model makes now, as (kind, text). Changes nothing in the task. Asked in rank 0 only."""
        ...

    def state(self) -> dict[str, bytes]:
        """All that `restore` needs to go on exactly as if nothing had happened, for every process; only that
        of rank 0 is kept."""
        ...

    def restore(self, files: dict[str, bytes]) -> None: ...

    def report(self) -> list[AnyBlock]:
        """What the last evaluation showed, for pages to draw; a picture's file is one of the artifact's. Asked in rank
        0 only, after `artifact`."""
        ...

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        """The files of the result, by name. Asked in rank 0 only."""
        ...


class KeepingTask(Task, Protocol):
    """A task whose plan may keep the best weights."""

    def weights(self) -> bytes:
        """As much of the model as changes. Asked in rank 0 only."""
        ...

    def put_back(self, weights: bytes) -> None:
        """Take what `weights` gave, in every process; no step follows."""
        ...


Build = Callable[[Context], Task]
ARTIFACT = Path("artifact")


def json_bytes(value: Any) -> bytes:
    """JSON that people read and that is the same for the same value."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"

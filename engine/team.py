"""The processes of one run as the loop and the recipes see them: who I am, what is my share, what all do next.

A run of one process is a team of one, for which all of this costs nothing. `engine.distributed` has the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.protocol import Command

if TYPE_CHECKING:
    import torch
    from torch import nn

_COMMANDS = (None, Command.CHECKPOINT, Command.PAUSE, Command.STOP, Command.CANCEL)


@dataclass(frozen=True)
class Order:
    """What is to be done at a safe point, the same in every process."""

    command: Command | None = None
    save: bool = False  # a checkpoint is due

    @property
    def code(self) -> int:
        """As one small number, which travels with the figures of a step."""
        return _COMMANDS.index(self.command) + 8 * self.save

    @classmethod
    def of(cls, code: int) -> Order:
        """The order that a `code` came from."""
        return cls(_COMMANDS[code % 8], bool(code // 8))


class Team(Protocol):
    """The processes of a run. All of them call these methods in the same order."""

    rank: int
    size: int
    wish: Callable[[], Order]  # what the leader would do now; asked in rank 0 only

    @property
    def order(self) -> Order:
        """What was settled for this safe point."""
        ...

    def settle(self, anew: bool = False) -> None:
        """Agree on what the leader wishes. Free after a step, whose figures bring the wish along, unless the
        answer must be newer than that (`anew`)."""
        ...

    def share(self, count: int) -> slice:
        """My part of so many examples. The parts differ by at most one."""
        ...

    def prepare(self, model: nn.Module) -> None:
        """Make a model calculate as one process would: its gradients are summed, its statistics are common."""
        ...

    def figures(self, values: torch.Tensor) -> Callable[[], list[float]]:
        """Begin to sum scalars over the team; the function that is returned waits for the sums."""
        ...

    def hold_gradients(self, more: bool) -> None:
        """Before a backward pass: whether `more` follow that add to its gradients. They travel with the last one."""
        ...

    def sum_gradients(self) -> None:
        """After the last backward pass of a step: every process has the sum of all gradients."""
        ...

    def total(self, part: Callable[[], torch.Tensor], count: int) -> torch.Tensor:
        """The sum over the team of `part()`, `count` float64 numbers on the CPU. When one process raised
        Interrupted, all do."""
        ...

    def collect(self, data: bytes) -> list[bytes]:
        """What each process gave, by rank."""
        ...

    def spread(self, data: bytes) -> bytes:
        """What rank 0 gave; what the others give is not looked at."""
        ...


class Solo:
    """A team of one."""

    rank = 0
    size = 1

    def __init__(self) -> None:
        self.wish: Callable[[], Order] = Order

    @property
    def order(self) -> Order:
        return self.wish()

    def settle(self, anew: bool = False) -> None:
        """There is nobody to ask."""

    def share(self, count: int) -> slice:
        return slice(0, count)

    def prepare(self, model: nn.Module) -> None:
        """It calculates alone already."""

    def figures(self, values: torch.Tensor) -> Callable[[], list[float]]:
        return values.tolist

    def hold_gradients(self, more: bool) -> None:
        """They travel nowhere."""

    def sum_gradients(self) -> None:
        """They are whole."""

    def total(self, part: Callable[[], torch.Tensor], count: int) -> torch.Tensor:
        return part()

    def collect(self, data: bytes) -> list[bytes]:
        return [data]

    def spread(self, data: bytes) -> bytes:
        return data

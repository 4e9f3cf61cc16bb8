"""A team of several processes, over torch.distributed: gloo between CPUs, NCCL between GPUs.

Numbers on the CPU always travel by gloo, so what is agreed on never waits for a GPU's queue.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from engine import eager
from engine.batchnorm import share_statistics
from engine.control import Interrupted
from engine.gradients import GradientSum
from engine.protocol import EngineError, FailureCode, Spec
from engine.team import Order

eager.install()

# A dead rank is noticed by its peers, a hanging one by the supervisor. A limit here would only end runs in which
# one process writes a large checkpoint while the others wait.
PATIENCE = timedelta(days=7)


class Ranks:
    """See `engine.team.Team`."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.wish: Callable[[], Order] = Order
        self._order = Order()
        self._settled = False  # the last step brought the wish along
        self._gradients: GradientSum | None = None

    @property
    def order(self) -> Order:
        return self._order

    def settle(self, anew: bool = False) -> None:
        if anew or not self._settled:
            vote = torch.tensor([self._voice()])
            dist.all_reduce(vote)
            self._order = Order.of(int(vote.item()))
        self._settled = False

    def share(self, count: int) -> slice:
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def prepare(self, model: nn.Module) -> None:
        share_statistics(model)
        self._gradients = GradientSum([p for p in model.parameters() if p.requires_grad])

    def figures(self, values: torch.Tensor) -> Callable[[], list[float]]:
        voice = torch.full((1,), self._voice(), dtype=values.dtype).to(values.device, non_blocking=True)
        message = torch.cat([values, voice])
        work = dist.all_reduce(message, async_op=True)

        def wait() -> list[float]:
            work.wait()
            *sums, order = message.tolist()
            self._order, self._settled = Order.of(int(order)), True
            return sums

        return wait

    def hold_gradients(self, more: bool) -> None:
        assert self._gradients is not None
        self._gradients.held = more

    def sum_gradients(self) -> None:
        assert self._gradients is not None
        self._gradients.finish()

    def total(self, part: Callable[[], torch.Tensor], count: int) -> torch.Tensor:
        message = torch.zeros(count + 1, dtype=torch.float64)
        try:
            message[:count] = part()
        except Interrupted:
            message[count] = 1
        dist.all_reduce(message)
        if message[count]:
            raise Interrupted
        return message[:count]

    def collect(self, data: bytes) -> list[bytes]:
        lengths = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(data)]))
        most = max(int(length) for length in lengths)
        mine = torch.frombuffer(bytearray(data.ljust(most, b"\0")), dtype=torch.uint8)
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(parts, mine)
        return [bytes(part[: int(n)].numpy()) for part, n in zip(parts, lengths, strict=True)]

    def spread(self, data: bytes) -> bytes:
        message = torch.empty(self.from_leader(len(data)), dtype=torch.uint8)
        if self.rank == 0:
            message = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(message, src=0)
        return bytes(message.numpy())

    def from_leader(self, number: int) -> int:
        """The number that rank 0 gave."""
        message = torch.tensor([number])
        dist.broadcast(message, src=0)
        return int(message.item())

    def _voice(self) -> int:
        """What I add to a vote: the leader decides, the others say nothing."""
        return self.wish().code if self.rank == 0 else 0


def join(spec: Spec) -> Ranks:
    """Meet the other processes of this run; EngineError BAD_CONFIG when they don't fit the spec."""
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all ranks are on this machine
    options: dict[str, Any] = {"backend": "gloo"}
    if spec.device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(_own_gpu(spec, size))
        options = {"backend": "cpu:gloo,cuda:nccl", "device_id": torch.device("cuda", torch.cuda.current_device())}
    dist.init_process_group(timeout=PATIENCE, **options)
    return Ranks(rank, size)


def _own_gpu(spec: Spec, size: int) -> int:
    """The number of this rank's GPU among the visible ones."""
    if spec.device not in ("auto", "cuda"):
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"{size} processes can't share the one device '{spec.device}'.",
            "Set the device to 'auto' or 'cuda'; each process takes a GPU of its own.",
        )
    if torch.cuda.device_count() < size:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"{size} processes need {size} GPUs, and {torch.cuda.device_count()} are visible.",
            "Ask for as many processes as there are GPUs, or set the device to 'cpu'.",
        )
    return int(os.environ["LOCAL_RANK"])

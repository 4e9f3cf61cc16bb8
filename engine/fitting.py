"""Calculating batches in as many parts, one after the other, as memory asks for.

A batch begins in one part. When memory runs out the attempt is undone and made again in twice as many: what is learned
stays that of the whole batch.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import nn

from engine.device import Device
from engine.memory import CURES, exhausted, ran_out
from engine.protocol import EngineError
from engine.task import Context

FAULTS = (RuntimeError, MemoryError)  # what `ran_out` recognises is one of these
# Where parts are as small as can be, smaller batches are of no use.
WITHOUT_BATCH = tuple(name for name in CURES if name not in ("batch_size", "accumulate"))
OF_A_TEAM = "Several devices can't find by themselves in how many parts a batch fits: set 'accumulate' to 2 or more."
Found = TypeVar("Found")


class Fitting:
    """In how many parts a run calculates. They belong to its state, as sums are rounded in the order of the parts."""

    def __init__(self, context: Context, device: Device, model: nn.Module) -> None:
        self.context = context
        self.device = device.torch
        accumulate: int | str = getattr(context.config, "accumulate", 1)
        # Where ranks calculate together, one that runs out of memory in the middle would leave the others waiting.
        self.grows = accumulate == "auto" and context.team.size == 1
        self.parts = 1 if accumulate == "auto" else int(accumulate)
        self.evaluation_parts = 1
        norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        self.fewest = 2 if norms else 1  # a batch normalisation makes nothing of a single example
        self.statistics = [buffer for norm in norms for buffer in norm.buffers()]
        self.before = [buffer.clone() for buffer in self.statistics]

    def kept(self) -> dict[str, int]:
        """What a checkpoint needs."""
        return {"training": self.parts, "evaluation": self.evaluation_parts} if self.grows else {}

    def take(self, kept: dict[str, int]) -> None:
        """Go on with what `kept` gave; checkpoints of old have nothing."""
        if self.grows and kept:
            self.parts, self.evaluation_parts = kept["training"], kept["evaluation"]

    def trained(self, index: int, examples: int, calculate: Callable[[int], Found], undo: Callable[[], None]) -> Found:
        """What `calculate(parts)` makes of the batch of step `index`; `examples` is how many of it any process of the
        team has at least. What an attempt that ran out of memory has changed is put back: gradients by `undo`."""
        most = max(1, examples // self.fewest)
        while True:
            count = min(self.parts, max(1, examples))  # the same in all processes, which wait for each other
            states = self._remember() if self.grows else None
            try:
                return calculate(count)
            except FAULTS as error:
                if not ran_out(error):
                    raise
                if states is None or count >= most:
                    raise self._too_large(index) from error
            # Out of the handler: the error holds what it came through, and so the memory of that attempt.
            undo()
            self._put_back(states)
            self._release()
            self.parts = min(2 * count, most)
            self.context.log(
                f"Memory did not suffice at step {index + 1}: batches of {examples} examples are calculated in "
                f"{self.parts} parts from now on. What is learned stays that of whole batches."
            )

    def judged(
        self, rows: slice, most: int, judge: Callable[[slice], torch.Tensor]
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """What `judge` makes of an evaluation's rows, `most` at a time, or fewer where memory does not suffice."""
        first = rows.start
        while first < rows.stop:
            self.context.breathe()
            some = slice(first, min(first + max(1, most // self.evaluation_parts), rows.stop))
            count, found = some.stop - some.start, None
            try:
                found = judge(some)
            except FAULTS as error:
                if not ran_out(error):
                    raise
                if count == 1:
                    message = "Memory ran out in an evaluation, though it took one example at a time."
                    raise exhausted(self.context.config, message, WITHOUT_BATCH) from error
            if found is not None:
                yield some, found
                first = some.stop
                continue
            self._release()
            self.evaluation_parts = math.ceil(most / (count // 2))
            self.context.log(f"Memory did not suffice to evaluate {count} examples at a time: {count // 2} are tried.")

    def _remember(self) -> list[torch.Tensor]:
        """The random states, beside the statistics of normalisations: what a pass changes other than gradients."""
        if self.before:
            torch._foreach_copy_(self.before, self.statistics)
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]

    def _put_back(self, states: list[torch.Tensor]) -> None:
        if self.before:
            torch._foreach_copy_(self.statistics, self.before)
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self.device)

    def _release(self) -> None:
        """Give back what nobody holds any more."""
        gc.collect()  # an error and the frames that it came through hold each other
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _too_large(self, index: int) -> EngineError:
        if not self.grows:
            failure = exhausted(self.context.config, f"Memory ran out at step {index + 1}.")
            if getattr(self.context.config, "accumulate", None) == "auto":
                failure.hint = f"{OF_A_TEAM} {failure.hint}"
            return failure
        few = "one example" if self.fewest == 1 else f"{self.fewest} examples"
        message = f"Memory ran out at step {index + 1}, though a batch was calculated with {few} at a time."
        return exhausted(self.context.config, message, WITHOUT_BATCH)

"""Batches that are ready when the device wants them: made in a thread while the steps before them are taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

DEPTH = 2  # batches that wait at most; each holds memory of the device


def pays(device: torch.device, processes: int) -> bool:
    """Whether a thread beside the training makes it faster: where a device calculates and a core is left.

    On a CPU both would share the same cores. Recipes decode their files before the first step, so what is left to do
    for a batch is arithmetic that uses all cores by itself."""
    return device.type == "cuda" and len(os.sched_getaffinity(0)) >= 2 * processes


class Ahead:
    """The batches of a run's steps, made in order by one thread, which alone calls `make`: a pure function of the
    step's number. What goes wrong in it is raised to whoever takes that batch."""

    def __init__(self, make: Callable[[int], Any], device: torch.device, total: int) -> None:
        self._make = make
        self._device = device
        self._total = total
        self._coming: dict[int, Future[Any]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._stream: torch.cuda.Stream | None = None

    def take(self, index: int) -> Any:
        """The batch of this step; the next ones are begun."""
        if self._pool is None:
            self._begin()
        assert self._pool is not None
        if index not in self._coming:
            self._forget()  # the run begins here, or a step is taken once more
        for coming in range(index, max(index + 1, min(index + 1 + DEPTH, self._total))):
            if coming not in self._coming:
                self._coming[coming] = self._pool.submit(self._made, coming)
        try:
            batch = self._coming.pop(index).result()
        except BaseException:
            self._forget()
            raise
        self._hold(batch)
        return batch

    def close(self) -> None:
        """End the thread; what it has begun is finished first."""
        self._forget()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _begin(self) -> None:
        # torch keeps the number of threads for each thread, and sums depend on it.
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(1, "batches", initializer=lambda: torch.set_num_threads(threads))
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)
            self._stream.wait_stream(torch.cuda.current_stream(self._device))  # on which the data were put there

    def _made(self, index: int) -> Any:
        if self._stream is None:
            return self._make(index)
        with torch.cuda.stream(self._stream):
            batch = self._make(index)
        self._stream.synchronize()  # here and not by the taker: what a step waits for is seen
        return batch

    def _hold(self, batch: Any) -> None:
        """The memory of a batch belongs to the thread's stream, and is not to be used again before the step is done."""
        if self._stream is None:
            return
        stream = torch.cuda.current_stream(self._device)
        for leaf in tree_leaves(batch):
            if isinstance(leaf, torch.Tensor) and leaf.is_cuda:
                leaf.record_stream(stream)

    def _forget(self) -> None:
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()

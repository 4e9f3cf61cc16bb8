"""Summing gradients over the processes of a run while the backward pass is still under way.

As torch's DistributedDataParallel does, with one difference: it lays its buckets out anew after the first step
of a process. With three and more processes the rounding of a sum depends on its place in a bucket, so a resumed
run would differ from an undisturbed one. The buckets here never change.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn

BUCKET_BYTES = 16 << 20


class Bucket:
    """Some parameters whose gradients travel together, as views of one flat tensor."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        first = parameters[0]
        self.flat = torch.zeros(sum(p.numel() for p in parameters), dtype=first.dtype, device=first.device)
        pieces = self.flat.split([p.numel() for p in parameters])
        # Laid out as the weights are, which need not be row by row: the optimizer wants both alike.
        self.places = {p: piece.as_strided(p.shape, p.stride()) for p, piece in zip(parameters, pieces, strict=True)}
        self.missing = len(parameters)
        self.work: dist.Work | None = None


class GradientSum:
    """The gradients of some parameters. Every one of them must take part in every backward pass. Of passes that add to
    each other all but the last are `held`."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        # From the last parameter to the first, which is about the order in which gradients arrive.
        self.buckets = [Bucket(group) for group in _groups(parameters[::-1])]
        self.next = 0  # the bucket that travels next: all processes send them in the same order
        self.held = False  # what arrives is added up, and travels later
        for bucket in self.buckets:
            for parameter in bucket.places:
                parameter.register_post_accumulate_grad_hook(self._arrived(bucket))

    def finish(self) -> None:
        """Wait until every gradient is the sum over the team."""
        if self.next < len(self.buckets):
            raise RuntimeError("A backward pass left parameters without a gradient.")
        for bucket in self.buckets:
            assert bucket.work is not None
            bucket.work.wait()
            bucket.work, bucket.missing = None, len(bucket.places)
        self.next = 0

    def _arrived(self, bucket: Bucket):  # noqa: ANN202
        def take(parameter: torch.Tensor) -> None:
            if self.held:
                return
            place = bucket.places[parameter]  # type: ignore[index]
            assert parameter.grad is not None
            parameter.grad = place.copy_(parameter.grad)
            bucket.missing -= 1
            self._send()

        return take

    def _send(self) -> None:
        while self.next < len(self.buckets) and self.buckets[self.next].missing == 0:
            bucket = self.buckets[self.next]
            bucket.work = dist.all_reduce(bucket.flat, async_op=True)
            self.next += 1


def _groups(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    groups: list[list[nn.Parameter]] = []
    size = 0
    for parameter in parameters:
        new = parameter.numel() * parameter.element_size()
        if not groups or size + new > BUCKET_BYTES or groups[-1][0].dtype != parameter.dtype:
            groups.append([])
            size = 0
        groups[-1].append(parameter)
        size += new
    return groups

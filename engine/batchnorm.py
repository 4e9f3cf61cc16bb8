"""Batch normalisation over the whole batch, of which each process holds a part.

Without it every process would normalise by its own few examples, and a run would be another one with each number
of processes. torch's SyncBatchNorm does the same but not on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import nn

AXES = (0, 2, 3)


def share_statistics(model: nn.Module) -> None:
    """Have every batch normalisation of a model use the statistics of the whole batch."""
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm2d, with the same state, whose batch is that of the whole team."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        assert self.num_batches_tracked is not None and self.momentum is not None
        y, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr]
            self.running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), self.momentum)  # type: ignore[union-attr]
        return y


class _Normalise(torch.autograd.Function):
    """x (batch, channels, height, width) → the same normalised, mean and variance (channels), count ()."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, ...]:
        values = x.float()
        mean = values.mean(AXES)
        spread = (values - _column(mean)).square().mean(AXES)
        count = torch.full((1,), x.numel() // x.shape[1], dtype=torch.float32, device=x.device)
        mean, variance, total = _combine(mean, spread, count)
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, scale, total)
        ctx.mark_non_differentiable(mean, variance, total)
        y = (values - _column(mean)) * _column(scale * weight) + _column(bias)
        return y.to(x.dtype), mean, variance, total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight, mean, scale, total = ctx.saved_tensors
        dy = gradients[0].float()
        ready = (x.float() - _column(mean)) * _column(scale)
        of_bias, of_weight = dy.sum(AXES), (dy * ready).sum(AXES)
        sums = torch.stack([of_bias, of_weight])
        dist.all_reduce(sums)
        sums = sums / total
        dx = (dy - _column(sums[0]) - ready * _column(sums[1])) * _column(scale * weight)
        # Weight and bias belong to all: their gradients are summed with those of the other parameters.
        return dx.to(x.dtype), of_weight, of_bias, None


def _combine(mean: torch.Tensor, spread: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Mean and variance of the whole batch, and its count, from those of the parts."""
    mine = torch.cat([mean, spread, count])
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    channels = len(mean)
    means, spreads, counts = torch.stack(parts).split([channels, channels, 1], dim=1)
    total = counts.sum()
    common = (means * counts).sum(0) / total
    variance = ((spreads + (means - common).square()) * counts).sum(0) / total
    return common, variance, total


def _column(values: torch.Tensor) -> torch.Tensor:
    return values.view(1, -1, 1, 1)

"""What is learned: a linear model of the recent past in closed form, and a small network that corrects it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

CENTRES = ("last", "mean")
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # times the mean square of an input


@dataclass(frozen=True)
class Shape:
    """Steps that are looked back and ahead, and the width of the network."""

    history: int
    horizon: int
    width: int
    dropout: float = 0.0


class Linear(nn.Module):
    """The next steps as weighted sums of the last ones, both relative to the window's last value or its mean. Series
    share the weights; each is calculated alone. (…, history) → (…, horizon)"""

    weight: torch.Tensor
    bias: torch.Tensor
    by_mean: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(shape.history, shape.horizon))
        self.register_buffer("bias", torch.zeros(shape.horizon))
        self.register_buffer("by_mean", torch.zeros((), dtype=torch.bool))

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        middle = torch.where(self.by_mean, past.mean(-1, keepdim=True), past[..., -1:])
        return (past - middle) @ self.weight + self.bias + middle


class Network(nn.Module):
    """A correction of the linear model, which begins at none. (batch, history) → (batch, horizon)"""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(shape.history, shape.width),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.width, shape.width),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.width, shape.horizon),
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        middle = past[..., -1:]
        size = past.std(-1, keepdim=True) + 1e-2
        return self.layers((past - middle) / size) * size


class Sums:
    """The sums that least squares need, added up window by window: of inputs relative to the window's centre and a
    constant, float64."""

    def __init__(self, shape: Shape, by_mean: bool, device: torch.device) -> None:
        self.by_mean = by_mean
        self.history = shape.history
        size = shape.history + 1
        # float64 on a GPU too: rounding would show with hundreds of inputs that are much alike.
        self.inputs = torch.zeros(size, size, dtype=torch.float64, device=device)
        self.both = torch.zeros(size, shape.horizon, dtype=torch.float64, device=device)
        self.count = 0

    def add(self, windows: torch.Tensor) -> None:
        """(windows, history + horizon)"""
        windows = windows.double()
        past = windows[:, : self.history]
        middle = past.mean(1, keepdim=True) if self.by_mean else past[:, -1:]
        past = torch.cat([past - middle, torch.ones_like(middle)], 1)
        self.inputs += past.T @ past
        self.both += past.T @ (windows[:, self.history :] - middle)
        self.count += len(windows)

    def solved(self, shape: Shape) -> Iterator[Linear]:
        """A model for each penalty."""
        size = float(self.inputs.diagonal()[:-1].mean())
        for penalty in PENALTIES:
            ridge = torch.full((self.history + 1,), penalty * max(size, 1e-12) / 10, dtype=torch.float64)
            ridge[-1] = 1e-9 * max(1, self.count)  # the constant is free
            weights = torch.linalg.solve(self.inputs + ridge.diag().to(self.inputs.device), self.both)
            linear = Linear(shape)
            linear.weight.copy_(weights[:-1])
            linear.bias.copy_(weights[-1])
            linear.by_mean.fill_(self.by_mean)
            yield linear

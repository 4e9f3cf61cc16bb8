"""A small residual network on spectra."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from engine.residual import Residual


@dataclass(frozen=True)
class Shape:
    """The sizes of a network."""

    width: int
    depth: int
    classes: int


class SoundNetwork(nn.Module):
    """Normalised spectra (batch, 1, mels, frames) → logits (batch, classes)."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        widths = [shape.width * 2**stage for stage in range(shape.depth)]
        # The first layer halves the bands: neighbouring ones say nearly the same.
        self.stem = nn.Conv2d(1, shape.width, 5, (2, 1), 2, bias=False)
        self.norm = nn.BatchNorm2d(shape.width)
        befores = [shape.width, *widths]
        self.stages = nn.Sequential(*(Residual(befores[i], widths[i], 2) for i in range(shape.depth)))
        self.attention = nn.Conv1d(widths[-1], 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * widths[-1], shape.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(F.relu(self.norm(self.stem(x))))
        x = x.mean(dim=2)  # over the bands: (batch, features, time)
        weights = self.attention(x).float().softmax(dim=2).to(x.dtype)
        pooled = torch.cat([(x * weights).sum(dim=2), x.amax(dim=2)], dim=1)
        return self.head(self.dropout(pooled))

"""A small residual network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from engine.residual import Residual


@dataclass(frozen=True)
class Shape:
    """The sizes of a network; what 'auto' in a configuration was turned into."""

    image_size: int
    channels: int
    width: int
    depth: int
    classes: int


class ResidualNetwork(nn.Module):
    """Normalised images (batch, channels, size, size) → logits (batch, classes)."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        # Larger pictures are halved twice at once: most of the work would go into the first stage.
        stride = 2 if shape.image_size >= 48 else 1
        self.stem = nn.Conv2d(shape.channels, shape.width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(shape.width)
        widths = [shape.width * 2**stage for stage in range(shape.depth)]
        befores = [shape.width, *widths]
        self.stages = nn.Sequential(
            *(Residual(a, b, stride if i == 0 else 2) for i, (a, b) in enumerate(zip(befores, widths, strict=False)))
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], shape.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(F.relu(self.norm(self.stem(x))))
        return self.head(self.dropout(x.mean(dim=(2, 3))))

"""A small network that looks at frames, at how they change, and then at their order."""

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
    frames: int
    width: int
    depth: int
    classes: int


class FilmNetwork(nn.Module):
    """Normalised frames (batch, frames, 3, size, size) → logits (batch, classes)."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        stride = 2 if shape.image_size >= 48 else 1
        widths = [shape.width * 2**stage for stage in range(shape.depth)]
        befores = [shape.width, *widths]
        self.stem = nn.Conv2d(6, shape.width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(shape.width)
        self.stages = nn.Sequential(
            *(Residual(befores[i], widths[i], stride if i == 0 else 2) for i in range(shape.depth))
        )
        self.order = nn.Conv1d(widths[-1], widths[-1], 3, padding=1)
        self.attention = nn.Conv1d(widths[-1], 1, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], shape.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, frames = x.shape[:2]
        # Beside each frame what changes until the next one: movement, however it looks.
        after = torch.cat([x[:, 1:], x[:, -1:]], dim=1)
        x = torch.cat([x, after - x], dim=2)
        x = self.stages(F.relu(self.norm(self.stem(x.flatten(0, 1)))))
        seen = x.mean(dim=(2, 3)).view(batch, frames, -1).transpose(1, 2)  # (batch, features, frames)
        seen = seen + F.relu(self.order(seen))
        weights = self.attention(seen).float().softmax(dim=2).to(seen.dtype)
        return self.head(self.dropout((seen * weights).sum(dim=2)))

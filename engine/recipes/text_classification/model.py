"""A linear model on weighted features."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Linear(nn.Module):
    """Feature numbers and weights, (batch, longest) each → logits (batch, classes). It begins by knowing nothing."""

    def __init__(self, features: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features, classes))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.dropout = nn.Dropout(dropout)

    def forward(self, bag: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        numbers, weights = bag
        summed = F.embedding_bag(numbers, self.weight, mode="sum", per_sample_weights=self.dropout(weights))
        return summed + self.bias

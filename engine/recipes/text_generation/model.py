"""A compact GPT: rotary positions, normalised queries and keys, squared ReLU, residual branches that begin at zero."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

ROTATION = 10_000.0  # wavelength of the slowest rotation, in tokens


class GPT(nn.Module):
    """Tokens (batch, length) → logits (batch, length, vocabulary). The output layer is the embedding's
    transpose, so the state holds that matrix once.

    `segments` (batch, length) numbers the examples that share a row; a token sees those of its own example only.
    `past`, of `nothing_yet`, keeps what was calculated of these tokens: the next call takes the one that follows.
    """

    def __init__(
        self, vocabulary: int, layers: int, heads: int, width: int, block_size: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.block_size = block_size
        self.recompute = False  # calculate blocks twice instead of keeping what is inside of them
        self.tokens = nn.Embedding(vocabulary, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(heads, width, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.register_buffer("turns", turns(block_size, width // heads), persistent=False)
        self._initialise()

    def forward(
        self, tokens: torch.Tensor, segments: torch.Tensor | None = None, past: list[Past] | None = None
    ) -> torch.Tensor:
        x = self.dropout(self.tokens(tokens))
        first = past[0].length if past else 0
        turning = self.turns[:, first : first + tokens.shape[1]]
        seen = None if segments is None else visible(segments)
        for block, before in zip(self.blocks, past or [None] * len(self.blocks), strict=True):
            if self.recompute and self.training:
                x = checkpoint(block, x, turning, seen, use_reentrant=False)
            else:
                x = block(x, turning, seen, before)
        return F.linear(self.norm(x), self.tokens.weight)

    def nothing_yet(self) -> list[Past]:
        """What `forward` keeps of a text that it is about to see."""
        return [Past() for _ in self.blocks]

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            if name.endswith("project.weight"):
                nn.init.zeros_(parameter)  # each block begins by changing nothing, whatever the depth
            else:
                deviation = 0.02 if parameter is self.tokens.weight else parameter.shape[1] ** -0.5
                nn.init.normal_(parameter, std=deviation)


class Past:
    """Keys and values of one layer for the tokens so far, (batch, heads, length, size) each."""

    def __init__(self) -> None:
        self.length = 0
        self._kept: tuple[torch.Tensor, torch.Tensor] | None = None

    def and_these(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """All so far, with these behind them."""
        if self._kept is not None:
            k, v = torch.cat([self._kept[0], k], dim=2), torch.cat([self._kept[1], v], dim=2)
        self._kept, self.length = (k, v), k.shape[2]
        return k, v


class Block(nn.Module):
    """Attention and a two-layer network, each added to the stream."""

    def __init__(self, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(width)
        self.attention = Attention(heads, width, dropout)
        self.norm2 = nn.RMSNorm(width)
        self.network = FeedForward(width, dropout)

    def forward(
        self, x: torch.Tensor, turning: torch.Tensor, seen: torch.Tensor | None, before: Past | None = None
    ) -> torch.Tensor:
        x = x + self.attention(self.norm1(x), turning, seen, before)
        return x + self.network(self.norm2(x))


class Attention(nn.Module):
    """Causal self-attention. Queries and keys have length one, so that no logit can run away."""

    def __init__(self, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.rate = dropout
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = nn.RMSNorm(width // heads)
        self.key_norm = nn.RMSNorm(width // heads)
        self.project = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, turning: torch.Tensor, seen: torch.Tensor | None, before: Past | None = None
    ) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.queries_keys_values(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        q, k = turn(self.query_norm(q), turning), turn(self.key_norm(k), turning)
        rate = self.rate if self.training else 0.0
        causal = seen is None and not (before is not None and before.length)  # one that follows sees all
        if before is not None:
            k, v = before.and_these(k, v)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=rate, is_causal=causal)
        return self.dropout(self.project(mixed.transpose(1, 2).reshape(batch, length, width)))


class FeedForward(nn.Module):
    """Widens four times, and back."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.project = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.project(F.relu(self.widen(x)).square()))


def turns(length: int, size: int) -> torch.Tensor:
    """Cosines and sines by which positions are told apart, (2, length, size / 2)."""
    pairs = size // 2
    speeds = ROTATION ** -(torch.arange(pairs, dtype=torch.float32) / max(1, pairs))
    angles = torch.outer(torch.arange(length, dtype=torch.float32), speeds)
    return torch.stack([angles.cos(), angles.sin()])


def turn(x: torch.Tensor, turning: torch.Tensor) -> torch.Tensor:
    """Rotate pairs of features of (…, length, size) by the angles of their positions; an odd last one stays."""
    cosine, sine = turning.to(x.dtype)
    pairs = cosine.shape[-1]
    first, second, rest = x.split([pairs, pairs, x.shape[-1] - 2 * pairs], dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine, rest), dim=-1)


def visible(segments: torch.Tensor) -> torch.Tensor:
    """What each token sees when several examples share a row: bool (batch, 1, length, length)."""
    same = segments[:, :, None] == segments[:, None, :]
    return same.tril()[:, None]

"""A compact GPT."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F


class GPT(nn.Module):
    """Tokens (batch, length) → logits (batch, length, vocabulary). The output layer is the embedding's
    transpose, so the state holds that matrix once."""

    def __init__(
        self, vocabulary: int, layers: int, heads: int, width: int, block_size: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.block_size = block_size
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(block_size, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(heads, width, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self._initialise(layers)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        x = self.dropout(self.tokens(tokens) + self.positions.weight[:length])
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.tokens.weight)

    def _initialise(self, layers: int) -> None:
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            # What is added to the residual stream is scaled down, or its sum would grow with the depth.
            deviation = 0.02 / math.sqrt(2 * layers) if name.endswith("project.weight") else 0.02
            nn.init.normal_(parameter, std=deviation)


class Block(nn.Module):
    """Attention and a two-layer network, each added to the stream."""

    def __init__(self, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attention = Attention(heads, width, dropout)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.network = FeedForward(width, dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.network(self.norm2(x))


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.rate = dropout
        self.queries_keys_values = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.queries_keys_values(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        rate = self.rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=rate, is_causal=True)
        return self.dropout(self.project(mixed.transpose(1, 2).reshape(batch, length, width)))


class FeedForward(nn.Module):
    """Widens four times, and back."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.project = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.project(F.gelu(self.widen(x))))


@torch.no_grad()
def continue_text(
    model: GPT,
    tokens: list[int],
    count: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> list[int]:
    """`count` tokens that follow `tokens` (at least one). Temperature 0 always takes the likeliest."""
    device = model.tokens.weight.device
    known = torch.tensor([tokens], dtype=torch.long, device=device)
    for _ in range(count):
        logits = model(known[:, -model.block_size :])[0, -1].float().cpu()
        chosen = _choose(logits, generator, temperature, top_k)
        known = torch.cat([known, chosen.view(1, 1).to(device)], dim=1)
    return known[0, len(tokens) :].tolist()


def _choose(logits: torch.Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> torch.Tensor:
    if temperature == 0:
        return logits.argmax()
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits[logits < logits.topk(top_k).values[-1]] = -math.inf
    return torch.multinomial(logits.softmax(0), 1, generator=generator)

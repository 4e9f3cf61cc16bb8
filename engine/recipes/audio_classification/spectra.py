"""Waves to log-mel spectra, in torch, the same in training and in prediction.

The mel scale is that of O'Shaughnessy as HTK writes it, 2595 log10(1 + f / 700) (The HTK Book, section 5.6), the bands
are its triangles. Voices differ by the length of the vocal tract, which stretches the frequencies: other warps of the
bank sound like other speakers (Jaitly and Hinton, 2013: vocal tract length perturbation).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

FLOOR = 1e-10
RANGE = 8.0  # of the logarithm (base e) below a recording's loudest place that is looked at: some 35 dB
PLAIN = 0  # the warp of the bank that changes nothing


@dataclass(frozen=True)
class Sizes:
    """What 'auto' in a configuration was turned into."""

    rate: int  # samples per second
    samples: int  # that are heard at once
    mels: int

    @property
    def window(self) -> int:
        """Samples of a spectrum: 25 ms."""
        return max(16, round(self.rate * 0.025))

    @property
    def hop(self) -> int:
        """Samples between two spectra: 10 ms."""
        return max(1, self.rate // 100)

    @property
    def transform(self) -> int:
        """Samples of the Fourier transform: enough for low bands to have a frequency each."""
        return 2 ** math.ceil(math.log2(self.window))

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Spectra(nn.Module):
    """Waves (batch, samples) → normalised log-mel spectra (batch, 1, mels, frames). `warps` are factors of frequency
    that the bank is made for; the first, 1, changes nothing."""

    def __init__(self, sizes: Sizes, warps: list[float] | None = None) -> None:
        super().__init__()
        self.sizes = sizes
        banks = [bank(sizes, warp) for warp in warps or [1.0]]
        self.register_buffer("banks", torch.stack(banks), persistent=False)
        self.register_buffer("hann", torch.hann_window(sizes.window), persistent=False)

    def forward(self, waves: torch.Tensor, warps: torch.Tensor | None = None) -> torch.Tensor:
        """`warps` (batch,) are places in the list of warps; None: the plain bank for all."""
        # Sums of squares need float32 even where the network calculates in less.
        with torch.autocast(waves.device.type, enabled=False):
            return self.levels(self.power(waves, warps))

    def power(self, waves: torch.Tensor, warps: torch.Tensor | None = None) -> torch.Tensor:
        """The energy in each band, (batch, mels, frames)."""
        sizes = self.sizes
        found = torch.stft(
            waves, sizes.transform, sizes.hop, sizes.window, self.hann, center=True, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        energy = found.real.square() + found.imag.square()
        return (self.banks[PLAIN] if warps is None else self.banks[warps]) @ energy

    @staticmethod
    def levels(power: torch.Tensor) -> torch.Tensor:
        """Logarithms, with neither the loudness of a recording nor its quiet floor; then of mean 0 and deviation 1."""
        logs = power.clamp(min=FLOOR).log()
        top = logs.amax(dim=(1, 2), keepdim=True)
        logs = torch.maximum(logs, top - RANGE)
        return ((logs - logs.mean(dim=(1, 2), keepdim=True)) / (logs.std(dim=(1, 2), keepdim=True) + 1e-3))[:, None]


def bank(sizes: Sizes, warp: float = 1.0) -> torch.Tensor:
    """Triangles evenly spread over the mel scale, (mels, frequencies), whose middles are moved by `warp`. Narrow ones
    are widened to the distance of two frequencies, so that none is empty."""
    highest = sizes.rate / 2
    frequencies = torch.linspace(0, highest, sizes.transform // 2 + 1, dtype=torch.float64)
    edges = torch.linspace(mel(20.0), mel(highest), sizes.mels + 2, dtype=torch.float64)
    middles = _warped(700 * (10 ** (edges / 2595) - 1), warp, highest)
    step = float(frequencies[1])
    low, middle, high = middles[:-2, None], middles[1:-1, None], middles[2:, None]
    rise = (frequencies - low) / (middle - low).clamp(min=step)
    rise = torch.where(middle - low < step, 1 - (middle - frequencies) / step, rise)
    fall = torch.where(high - middle < step, 1 - (frequencies - middle) / step, (high - frequencies) / (high - middle))
    return torch.minimum(rise, fall).clamp(min=0).float()


def mel(frequency: float) -> float:
    """Hertz → mel."""
    return 2595 * math.log10(1 + frequency / 700)


def _warped(frequencies: torch.Tensor, warp: float, highest: float) -> torch.Tensor:
    """Frequencies times `warp` up to a bend, from there straight to the highest one, which stays."""
    bend = 0.8 * highest * min(1.0, 1 / warp)
    rest = highest - (highest - warp * bend) * (highest - frequencies) / (highest - bend)
    return torch.where(frequencies <= bend, frequencies * warp, rest)

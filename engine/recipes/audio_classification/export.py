"""A trained classifier of sounds as a network that takes waves, for use without TrainHub."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from engine.export import Network
from engine.recipes.audio_classification.predictor import AudioClassificationPredictor
from engine.recipes.audio_classification.recordings import KEPT_SECONDS
from engine.recipes.audio_classification.spectra import PLAIN, Sizes, Spectra
from engine.recipes.audio_classification.trainer import LOOKS


class FromWaves(nn.Module):
    """Waves (batch, samples), floats from -1 to 1 → probabilities (batch, classes).

    The Fourier transform is a convolution with waves of each frequency: ONNX has no complex numbers. The energy of a
    frequency is the same wherever its wave begins."""

    def __init__(self, made: AudioClassificationPredictor) -> None:
        super().__init__()
        sizes = made.spectra.sizes
        self.model, self.hop = made.model, sizes.hop
        self.room = sizes.transform // 2 - (sizes.transform - sizes.window) // 2
        frames = sizes.samples // sizes.hop
        self.after = max(0, frames * sizes.hop - self.room + sizes.window - sizes.samples)
        self.register_buffer("waves", _waves(sizes, made.spectra.hann))
        self.register_buffer("bank", made.spectra.banks[PLAIN])

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        padded = F.pad(waves[:, None], (self.room, self.after))
        real, imaginary = F.conv1d(padded, self.waves, stride=self.hop).chunk(2, 1)
        power = self.bank @ (real.square() + imaginary.square())
        return self.model(Spectra.levels(power)).float().softmax(1)


def network(folder: Path) -> Network:
    """The network of an artifact folder; EngineError when its files can't be used."""
    made = AudioClassificationPredictor.load(folder)
    sizes = made.spectra.sizes
    facts: dict[str, Any] = {
        "inputs": [{
            "name": "waves", "shape": ["batch", sizes.samples], "type": "float32", "values": "-1 to 1, one channel",
            "samples_per_second": sizes.rate,
        }],
        "outputs": [{"name": "probabilities", "shape": ["batch", len(made.classes)], "type": "float32"}],
        "classes": made.classes,
        "looks": LOOKS,
        "preparing": [
            f"All channels are mixed into one of {sizes.rate:,} samples per second, 16 bits each, divided by 32768; of "
            f"a recording the first {KEPT_SECONDS:g} seconds count.",
            f"A shorter recording than {sizes.samples:,} samples has silence around it: "
            "round((samples - length) / 2) zeros before it, the others after it; a half is rounded to the even number.",
            f"Of a longer one {LOOKS} stretches are heard, that begin at round((length - samples) * part) for evenly "
            "spread parts from 0 to 1, and the mean of their probabilities counts.",
        ],
    }  # fmt: skip

    def example(batch: int) -> tuple[torch.Tensor]:
        tones = torch.sin(torch.arange(sizes.samples) * torch.rand(batch, 1)) * torch.rand(batch, 1)
        return (tones + 0.02 * torch.randn(batch, sizes.samples),)

    def own(waves: torch.Tensor) -> list[torch.Tensor]:
        return [made.model(made.spectra(waves)).float().softmax(1)]

    return Network(FromWaves(made).eval(), example, facts, own)


def _waves(sizes: Sizes, hann: torch.Tensor) -> torch.Tensor:
    """(2 * frequencies, 1, window): cosines, then sines, under the window."""
    frequencies = torch.arange(sizes.transform // 2 + 1, dtype=torch.float64)
    angles = torch.outer(frequencies, torch.arange(sizes.window, dtype=torch.float64)) * (2 * math.pi / sizes.transform)
    return (torch.cat([angles.cos(), angles.sin()]) * hann.double()).float()[:, None]

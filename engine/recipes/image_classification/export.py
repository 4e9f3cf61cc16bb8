"""A trained classifier of images as a network that takes raw pixels, for use without TrainHub."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from engine.export import Network
from engine.recipes.image_classification.predictor import ImageClassificationPredictor
from engine.recipes.image_classification.trainer import normalise


class FromPixels(nn.Module):
    """Pictures (batch, channels, size, size) with values 0 to 255 → probabilities (batch, classes)."""

    def __init__(self, made: ImageClassificationPredictor) -> None:
        super().__init__()
        self.model = made.model
        self.register_buffer("scale", made.scale)
        self.register_buffer("offset", made.offset)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.model(normalise(pictures, self.scale, self.offset)).float().softmax(1)


def network(folder: Path) -> Network:
    """The network of an artifact folder; EngineError when its files can't be used."""
    made = ImageClassificationPredictor.load(folder)
    shape = (made.inputs.channels, made.inputs.size, made.inputs.size)
    facts = {
        "inputs": [{
            "name": "pictures", "shape": ["batch", *shape], "type": "float32",
            "values": "0 to 255, channels red, green, blue (or grey alone), scaled to the size",
        }],
        "outputs": [{"name": "probabilities", "shape": ["batch", len(made.classes)], "type": "float32"}],
        "classes": made.classes,
    }  # fmt: skip
    return Network(FromPixels(made).eval(), lambda batch: (torch.rand(batch, *shape) * 255,), facts)

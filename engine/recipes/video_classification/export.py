"""A trained classifier of videos as a network that takes raw frames, for use without TrainHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.export import Network
from engine.recipes.video_classification.clips import KEPT
from engine.recipes.video_classification.predictor import VideoClassificationPredictor
from engine.recipes.video_classification.trainer import normalised


class FromFrames(nn.Module):
    """Frames (batch, frames, 3, size, size) with values 0 to 255 → probabilities (batch, classes)."""

    def __init__(self, made: VideoClassificationPredictor) -> None:
        super().__init__()
        self.model = made.model

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.model(normalised(frames)).float().softmax(1)


def network(folder: Path) -> Network:
    """The network of an artifact folder; EngineError when its files can't be used."""
    made = VideoClassificationPredictor.load(folder)
    frames, side = made.shape.frames, made.shape.image_size
    shape = (frames, 3, side, side)
    facts: dict[str, Any] = {
        "inputs": [{
            "name": "frames", "shape": ["batch", *shape], "type": "float32",
            "values": "0 to 255, channels red, green, blue, scaled to the size",
        }],
        "outputs": [{"name": "probabilities", "shape": ["batch", len(made.classes)], "type": "float32"}],
        "classes": made.classes,
        "preparing": [
            f"Of {frames * KEPT} frames that are evenly spread from the first to the last of a video, every {KEPT}nd "
            f"counts, from the {KEPT // 2 + 1}nd on; each is scaled to the size by the mean of areas.",
        ],
    }  # fmt: skip
    return Network(FromFrames(made).eval(), lambda batch: (torch.rand(batch, *shape) * 255,), facts)

"""Names the class of videos with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from engine import films
from engine.artifact import load_weights, read_artifact
from engine.likeliest import file_of, no_parameters, ranked, unusable
from engine.media import BadMedia
from engine.recipes.video_classification.clips import KEPT, even
from engine.recipes.video_classification.model import FilmNetwork, Shape
from engine.recipes.video_classification.trainer import normalised

HINT = "Send videos (MP4, WebM, Matroska, AVI or MOV)."


class VideoClassificationPredictor:
    """A loaded model."""

    def __init__(self, model: FilmNetwork, facts: dict[str, Any], device: str) -> None:
        self.model = model
        self.device = device
        self.classes: list[str] = facts["classes"]
        self.shape = Shape(**facts["shape"])

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used."""
        facts = read_artifact(folder, "video-classification")
        model = FilmNetwork(Shape(**facts["shape"]), dropout=0.0)
        load_weights(folder, model, device)
        return cls(model, facts, device)

    @torch.no_grad()
    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each video's bytes {"label", "confidence", "probabilities": {class: p}}, the ten likeliest classes,
        likeliest first. EngineError BAD_DATA for what is no video."""
        no_parameters(parameters, "Video classification")
        return [self._classify(self._frames(data, number)) for number, data in enumerate(inputs)]

    def _classify(self, frames: np.ndarray) -> dict[str, Any]:
        clip = even(torch.from_numpy(frames)[None]).to(self.device)
        return ranked(self.classes, self.model(normalised(clip)).float().softmax(1)[0].cpu())

    def _frames(self, data: Any, number: int) -> np.ndarray:
        try:
            return films.decode(file_of(data, number, HINT), self.shape.frames * KEPT, self.shape.image_size)
        except BadMedia as error:
            raise unusable(number, str(error), HINT) from error

"""Names the class of images with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from engine.artifact import load_weights, read_artifact
from engine.images import BadImage, decode
from engine.likeliest import file_of, no_parameters, ranked, unusable
from engine.recipes.image_classification.networks import Inputs, opened
from engine.recipes.image_classification.trainer import normalise, scale_and_offset

HINT = "Send image files (PNG, JPEG, WebP, BMP, GIF or TIFF)."
BATCH = 64


class ImageClassificationPredictor:
    """A loaded model."""

    def __init__(self, model: torch.nn.Module, facts: dict[str, Any], device: str) -> None:
        self.model = model
        self.device = device
        self.classes: list[str] = facts["classes"]
        said = facts["input"]
        self.inputs = Inputs(said["size"], len(said["mean"]), said["mean"], said["deviation"])
        self.scale, self.offset = scale_and_offset(self.inputs, torch.device(device))

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used."""
        facts = read_artifact(folder, "image-classification")
        model = opened(facts)
        load_weights(folder, model, device)
        return cls(model, facts, device)

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each image file's bytes {"label", "confidence", "probabilities": {class: p}}, the ten
        likeliest classes, likeliest first. EngineError BAD_DATA for what is no image."""
        no_parameters(parameters, "Image classification")
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), BATCH):
            answers += self._classify(inputs[start : start + BATCH], start)
        return answers

    @torch.no_grad()
    def _classify(self, files: list[Any], first: int) -> list[dict[str, Any]]:
        pictures = np.stack([self._decode(data, first + number) for number, data in enumerate(files)])
        batch = normalise(torch.from_numpy(pictures).to(self.device), self.scale, self.offset)
        return [ranked(self.classes, row) for row in self.model(batch).float().softmax(1).cpu()]

    def _decode(self, data: Any, number: int) -> np.ndarray:
        try:
            return decode(file_of(data, number, HINT), self.inputs.size, self.inputs.channels == 3)
        except BadImage as error:
            raise unusable(number, str(error), HINT) from error

"""Names the class of images with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from engine.artifact import load_weights, read_artifact
from engine.images import BadImage, decode
from engine.protocol import EngineError, FailureCode
from engine.recipes.image_classification.model import ResidualNetwork, Shape
from engine.recipes.image_classification.trainer import normalise

SHOWN = 10  # classes that are named with their probability
BATCH = 64


class ImageClassificationPredictor:
    """A loaded model."""

    def __init__(self, model: ResidualNetwork, facts: dict[str, Any], device: str) -> None:
        self.model = model
        self.device = device
        self.classes: list[str] = facts["classes"]
        self.shape = Shape(**facts["shape"])
        mean = torch.tensor(facts["input"]["mean"], dtype=torch.float64).view(1, -1, 1, 1)
        deviation = torch.tensor(facts["input"]["deviation"], dtype=torch.float64).view(1, -1, 1, 1)
        self.scale = (1 / deviation / 255).float().to(device)
        self.offset = (mean / deviation).float().to(device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used."""
        facts = read_artifact(folder, "image-classification")
        model = ResidualNetwork(Shape(**facts["shape"]), dropout=0.0)
        load_weights(folder, model, device)
        return cls(model, facts, device)

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each image file's bytes {"label", "confidence", "probabilities": {class: p}}, the ten
        likeliest classes, likeliest first. EngineError BAD_DATA for what is no image."""
        if parameters:
            raise EngineError(FailureCode.BAD_CONFIG, "Image classification takes no parameters.", "Send none.")
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), BATCH):
            answers += self._classify(inputs[start : start + BATCH], start)
        return answers

    @torch.no_grad()
    def _classify(self, files: list[Any], first: int) -> list[dict[str, Any]]:
        pictures = np.stack([self._decode(data, first + number) for number, data in enumerate(files)])
        batch = normalise(torch.from_numpy(pictures).to(self.device), self.scale, self.offset)
        return [self._answer(row) for row in self.model(batch).float().softmax(1).cpu()]

    def _decode(self, data: Any, number: int) -> np.ndarray:
        if not isinstance(data, bytes):
            raise _bad_input(number, "it is not a file")
        try:
            return decode(data, self.shape.image_size, self.shape.channels == 3)
        except BadImage as error:
            raise _bad_input(number, str(error)) from error

    def _answer(self, probabilities: torch.Tensor) -> dict[str, Any]:
        values, places = probabilities.topk(min(SHOWN, len(self.classes)))
        named = {self.classes[i]: round(v, 6) for v, i in zip(values.tolist(), places.tolist(), strict=True)}
        label = self.classes[int(places[0])]
        return {"label": label, "confidence": named[label], "probabilities": named}


def _bad_input(number: int, reason: str) -> EngineError:
    return EngineError(
        FailureCode.BAD_DATA,
        f"Input {number + 1} can't be classified: {reason}.",
        "Send image files (PNG, JPEG, WebP, BMP, GIF or TIFF).",
    )

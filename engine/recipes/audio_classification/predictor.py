"""Names the class of recordings with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch

from engine import sounds
from engine.artifact import load_weights, read_artifact
from engine.likeliest import file_of, no_parameters, ranked, unusable
from engine.media import BadMedia
from engine.recipes.audio_classification.model import Shape, SoundNetwork
from engine.recipes.audio_classification.recordings import KEPT_SECONDS, in_a_row
from engine.recipes.audio_classification.spectra import Sizes, Spectra
from engine.recipes.audio_classification.trainer import listen

HINT = "Send sound files (WAV, FLAC, MP3, Ogg, M4A or WebM)."
BATCH = 32


class AudioClassificationPredictor:
    """A loaded model."""

    def __init__(self, model: SoundNetwork, facts: dict[str, Any], device: str) -> None:
        self.model = model
        self.device = torch.device(device)
        self.classes: list[str] = facts["classes"]
        self.spectra = Spectra(Sizes(**facts["input"])).to(self.device)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used."""
        facts = read_artifact(folder, "audio-classification")
        model = SoundNetwork(Shape(**facts["shape"]), dropout=0.0)
        load_weights(folder, model, device)
        return cls(model, facts, device)

    @torch.no_grad()
    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each recording's bytes {"label", "confidence", "probabilities": {class: p}}, the ten likeliest classes,
        likeliest first. EngineError BAD_DATA for what is no sound."""
        no_parameters(parameters, "Sound classification")
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), BATCH):
            waves = [self._wave(data, start + place) for place, data in enumerate(inputs[start : start + BATCH])]
            probabilities = listen(self.model, self.spectra, in_a_row(waves).to(self.device)).exp().cpu()
            answers += [ranked(self.classes, row) for row in probabilities]
        return answers

    def _wave(self, data: Any, number: int) -> Any:
        try:
            return sounds.decode(file_of(data, number, HINT), self.spectra.sizes.rate, KEPT_SECONDS)
        except BadMedia as error:
            raise unusable(number, str(error), HINT) from error

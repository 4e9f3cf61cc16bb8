"""Trying a trained version: loaded from its files, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from engine.artifact import load_weights, read_artifact
from word_bag.words import bag


class WordBagPredictor:
    """A loaded model."""

    def __init__(self, model: nn.Linear, classes: list[str]) -> None:
        self.model = model
        self.classes = classes

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        facts = read_artifact(folder, "word-bag")
        model = nn.Linear(facts["words"], len(facts["classes"]))
        load_weights(folder, model, device)
        return cls(model, facts["classes"])

    @torch.no_grad()
    def predict(self, inputs: list[str], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """{"label", "confidence", "probabilities"} of each text."""
        bags = torch.stack([bag(text, self.model.in_features) for text in inputs])
        answers = []
        for row in self.model(bags).softmax(1).tolist():
            chances = dict(sorted(zip(self.classes, row, strict=True), key=lambda pair: -pair[1]))
            label = next(iter(chances))
            answers.append({"label": label, "confidence": chances[label], "probabilities": chances})
        return answers

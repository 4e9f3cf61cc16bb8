"""Names the class of texts with a trained model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import torch

from engine import state
from engine.artifact import load_weights, read_artifact
from engine.likeliest import no_parameters, ranked, unusable
from engine.protocol import EngineError, FailureCode
from engine.recipes.text_classification import encoder
from engine.recipes.text_classification.config import TextClassificationConfig
from engine.recipes.text_classification.features import Bags, Vocabulary, count, weigh
from engine.recipes.text_classification.model import Linear
from engine.recipes.text_classification.trainer import VOCABULARY

BATCH = 32
MAX_TEXT = 1_000_000  # characters

Logits = Callable[[list[str]], torch.Tensor]


class TextClassificationPredictor:
    """A loaded model."""

    def __init__(self, classes: list[str], logits: Logits) -> None:
        self.classes = classes
        self.logits = logits

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder, of an adapter with its base; EngineError when files can't be used."""
        facts = read_artifact(folder, encoder.RECIPE)
        made = _tuned(folder, facts, device) if "network" in facts else _linear(folder, facts, device)
        return cls(facts["classes"], made)

    @torch.no_grad()
    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """For each text {"label", "confidence", "probabilities": {class: p}}, the ten likeliest classes, likeliest
        first. EngineError BAD_DATA for what is no text, or an empty one."""
        no_parameters(parameters, "Text classification")
        for number, text in enumerate(inputs):
            if not isinstance(text, str) or len(text) > MAX_TEXT:
                raise unusable(number, f"it is no text of at most {MAX_TEXT:,} characters", "Send texts.")
            if not text.strip():
                raise unusable(number, "it is empty", "Send texts with at least a word.")
        answers: list[dict[str, Any]] = []
        for start in range(0, len(inputs), BATCH):
            logits = self.logits(inputs[start : start + BATCH])
            answers += [ranked(self.classes, row) for row in logits.float().softmax(1).cpu()]
        return answers


def linear_of(folder: Path, facts: dict[str, Any], device: str = "cpu") -> tuple[Linear, Vocabulary]:
    """The weights of words and letters, and which of them are known; EngineError when the files can't be used."""
    try:
        vocabulary = Vocabulary.of(state.load((folder / VOCABULARY).read_bytes()))
    except (OSError, KeyError, state.SafetensorError) as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"The model's files can't be used: {VOCABULARY}: {error}.", "Train the model again."
        ) from error
    model = Linear(vocabulary.size, len(facts["classes"]))
    load_weights(folder, model, device)
    return model, vocabulary


def _linear(folder: Path, facts: dict[str, Any], device: str) -> Logits:
    model, vocabulary = linear_of(folder, facts, device)
    config = TextClassificationConfig.model_validate(facts["config"])

    def logits(texts: list[str]) -> torch.Tensor:
        counted = [count(text, config.words, config.letters, config.lower_case) for text in texts]
        numbers, weights = Bags([weigh(one, vocabulary) for one in counted]).padded()
        return model((numbers.to(device), weights.to(device)))

    return logits


def _tuned(folder: Path, facts: dict[str, Any], device: str) -> Logits:
    found = encoder.from_artifact(folder, facts)
    found.model.to(device).eval()

    def logits(texts: list[str]) -> torch.Tensor:
        tokens, there = encoder.Texts(found.rows(texts, facts["longest"]), found.filler).padded()
        return found.logits((tokens.to(device), there.to(device)))

    return logits

"""A trained classifier of texts as a network that takes tokens or features, for use without TrainHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from engine import lora
from engine.artifact import read_artifact
from engine.export import Network
from engine.recipes.text_classification import encoder
from engine.recipes.text_classification.config import TextClassificationConfig
from engine.recipes.text_classification.features import CHARACTERS, PRIME, WORD
from engine.recipes.text_classification.model import Linear
from engine.recipes.text_classification.predictor import linear_of
from engine.recipes.text_classification.trainer import VOCABULARY


class FromTokens(nn.Module):
    """Tokens and which of them are no padding, (batch, length) int64 each → probabilities (batch, classes)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=tokens, attention_mask=there).logits.float().softmax(1)


class FromFeatures(nn.Module):
    """Numbers of features and their weights, (batch, length) each → probabilities (batch, classes)."""

    def __init__(self, model: Linear) -> None:
        super().__init__()
        self.model = model

    def forward(self, numbers: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        summed = (F.embedding(numbers, self.model.weight) * weights[:, :, None]).sum(1)
        return (summed + self.model.bias).softmax(1)


def network(folder: Path) -> Network:
    """The network of an artifact folder, of an adapter with its base; EngineError when files can't be used."""
    facts = read_artifact(folder, encoder.RECIPE)
    output = {"name": "probabilities", "shape": ["batch", len(facts["classes"])], "type": "float32"}
    about = {"outputs": [output], "classes": facts["classes"]}
    return _tuned(folder, facts, about) if "network" in facts else _linear(folder, facts, about)


def _tuned(folder: Path, facts: dict[str, Any], about: dict[str, Any]) -> Network:
    found = encoder.from_artifact(folder, facts)
    if found.adapter is not None:
        lora.merge(found.model)
    found.model.set_attn_implementation("eager")  # type: ignore[operator] # the plain one, in plain operations
    longest, vocabulary = facts["longest"], found.model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    about |= {
        "inputs": [{"name": name, "shape": ["batch", "length"], "type": "int64"} for name in _TOKENS],
        "longest": longest, "padding": found.filler,
        "preparing": [
            f"tokenizer.json (of the library tokenizers) makes a text its token ids; the first {longest} count.",
            "Shorter texts of a batch are filled up to the longest one with the id 'padding', behind them; the mask is "
            "1 for tokens and 0 for what was filled up.",
        ],
    }  # fmt: skip

    def example(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        width = min(longest, 6 + batch)
        there = (torch.arange(width) < torch.randint(1, width, (batch, 1))).long()
        there[0] = 1  # the longest text, to which the others are filled up
        tokens = torch.randint(0, vocabulary, (batch, width))
        return torch.where(there == 1, tokens, found.filler), there

    return Network(FromTokens(found.model).eval(), example, about, files=found.stored)


def _linear(folder: Path, facts: dict[str, Any], about: dict[str, Any]) -> Network:
    model, vocabulary = linear_of(folder, facts)
    config = TextClassificationConfig.model_validate(facts["config"])
    about |= {
        "inputs": [
            {"name": "numbers", "shape": ["batch", "length"], "type": "int64"},
            {"name": "weights", "shape": ["batch", "length"], "type": "float32"},
        ],
        "words": config.words, "letters": config.letters, "lower_case": config.lower_case,
        "preparing": _steps(config, len(vocabulary.words)),
    }  # fmt: skip

    def example(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        weights = torch.rand(batch, 8 + batch) * (torch.rand(batch, 8 + batch) < 0.8)
        return torch.randint(0, vocabulary.size, weights.shape), weights

    def own(numbers: torch.Tensor, weights: torch.Tensor) -> list[torch.Tensor]:
        return [model((numbers, weights)).softmax(1)]

    files = {VOCABULARY: (folder / VOCABULARY).read_bytes()}
    return Network(FromFeatures(model).eval(), example, about, own, files=files)


_TOKENS = ("input_ids", "attention_mask")


def _steps(config: TextClassificationConfig, words: int) -> list[str]:
    """How a text becomes features, for somebody who writes that anew."""
    return [
        f"The first {CHARACTERS:,} characters of a text count{', in small letters' if config.lower_case else ''}.",
        f"Its words are the matches of the regular expression {WORD.pattern} (Unicode); the value of a word is the "
        "CRC-32 of its UTF-8 bytes. Its letters are the code points of the text with each run of white space made one "
        "space, and a space before and after it.",
        f"Features are all runs of 1 to {config.words} words, and of 2 to {config.letters} letters (0 or 1: none).",
        "The hash of a run, in unsigned 64-bit arithmetic that wraps around: h = length of the run; for each value v: "
        f"h = (h xor v) * {int(PRIME):#x}; h = (h xor (h >> 30)) * 0xbf58476d1ce4e5b9; h = h xor (h >> 27). At the end "
        "h = h and 0x7fffffffffffffff.",
        f"{VOCABULARY} has the known hashes in rising order and what each tells: 'words' with 'word_weights', "
        "'letters' with 'letter_weights'. The number of a feature is its place among the words' hashes, or "
        f"{words} + its place among the letters'. Unknown ones are left out.",
        "The weight of a feature is (1 + ln(times that it stands in the text)) * what it tells; then the weights of "
        "the words are divided by their Euclidean length, and those of the letters by theirs.",
        "Shorter texts of a batch are filled up with the number 0 and the weight 0.",
    ]

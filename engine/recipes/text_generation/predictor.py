"""Continues prompts with a trained model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch.nn import functional as F

from engine.artifact import read_artifact
from engine.pairs import END
from engine.protocol import EngineError, FailureCode
from engine.recipes.text_generation.examples import Layout, prompt_text, prompt_tokens
from engine.recipes.text_generation.language import RECIPE, Language, from_artifact
from engine.recipes.text_generation.report import answer
from engine.refusals import explain

MAX_PROMPT = 100_000


class Parameters(BaseModel):
    """How to continue."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    max_new_tokens: int = Field(200, ge=1, le=1000)  # fewer where the prompt leaves less room in the model's context
    temperature: float = Field(0.8, ge=0, le=5)  # 0: always the likeliest token
    top_k: int | None = Field(None, ge=1, le=100_000)  # None: any token may come
    seed: int | None = Field(None, ge=0, lt=2**63)  # None: another continuation each time
    raw: bool = False  # take the prompt as it is, also where the model learned to answer in a layout


class TextGenerationPredictor:
    """A loaded model."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.tokenizer = language.tokenizer

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder, of an adapter with its base; EngineError when files can't be used."""
        language = from_artifact(folder, read_artifact(folder, RECIPE))
        language.model.to(device).eval()
        return cls(language)

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """A continuation of each prompt, or the answer to it where the model learned to answer:
        {"text": prompt + completion, "completion": …}. It ends where the model says that it has finished.

        EngineError BAD_DATA for what isn't text or holds characters that the model never saw, BAD_CONFIG
        for wrong parameters."""
        chosen, generator = _chosen(parameters)
        return [self._continue(prompt, chosen, generator) for prompt in inputs]

    def stream(self, prompt: Any, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """What `predict` answers to one prompt, token by token: {"piece": text} for each, empty where its text is not
        settled yet, then the whole. With a seed it is the same text."""
        chosen, generator = _chosen(parameters)
        tokens, layout = self._begun(prompt, chosen)
        made: list[int] = []
        sent = ""
        for token in self.language.following(
            tokens, chosen.max_new_tokens, generator, chosen.temperature, chosen.top_k
        ):
            made.append(token)
            settled = _settled(answer(self.tokenizer.decode(made), layout), layout)
            piece = settled[len(sent) :] if settled.startswith(sent) else ""
            sent += piece
            yield {"piece": piece}
        completion = answer(self.tokenizer.decode(made), layout)
        if completion.startswith(sent) and completion != sent:
            yield {"piece": completion[len(sent) :]}
        yield {"text": prompt + completion, "completion": completion}

    @torch.no_grad()
    def loss(self, text: str) -> float:
        """The mean loss of a text's tokens, each after those before it, in pieces of the model's context; not a number
        when there are fewer than two tokens. EngineError BAD_DATA for characters that the model never saw."""
        tokens = self.tokenizer.encode(text).long()
        device = next(self.language.model.parameters()).device
        total, count = 0.0, 0
        for start in range(0, len(tokens) - 1, self.language.limit):
            piece = tokens[start : start + self.language.limit + 1].to(device)
            logits = self.language.logits(piece[None, :-1])[0].float()
            total += F.cross_entropy(logits, piece[1:], reduction="sum").item()
            count += len(piece) - 1
        return total / count if count else math.nan

    def _continue(self, prompt: Any, chosen: Parameters, generator: torch.Generator) -> dict[str, Any]:
        tokens, layout = self._begun(prompt, chosen)
        made = self.language.continue_tokens(tokens, chosen.max_new_tokens, generator, chosen.temperature, chosen.top_k)
        completion = answer(self.tokenizer.decode(made), layout)
        return {"text": prompt + completion, "completion": completion}

    def _begun(self, prompt: Any, chosen: Parameters) -> tuple[list[int], Layout | None]:
        """The tokens to continue, and the layout in which the model answers."""
        if not isinstance(prompt, str) or len(prompt) > MAX_PROMPT:
            raise EngineError(
                FailureCode.BAD_DATA,
                f"A prompt must be text of at most {MAX_PROMPT:,} characters.",
                "Send a list of strings.",
            )
        layout: Layout | None = None if chosen.raw else self.language.layout  # type: ignore[assignment]
        text = prompt
        if layout and prompt:
            text = prompt_text({"prompt": prompt, "completion": "."}, layout, self.tokenizer)
        return prompt_tokens(text, layout, self.tokenizer) or self._first(), layout

    def _first(self) -> list[int]:
        """An empty prompt begins as a new line would."""
        try:
            return self.tokenizer.encode("\n").tolist() or [self.tokenizer.end]
        except EngineError:  # a vocabulary without line ends
            return [0]


def _chosen(parameters: dict[str, Any] | None) -> tuple[Parameters, torch.Generator]:
    """The parameters, and the chance that they ask for; EngineError BAD_CONFIG says what is wrong with them."""
    try:
        chosen = Parameters.model_validate(parameters or {})
    except ValidationError as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"The parameters are not valid: {explain(error, Parameters)}.", "Correct them."
        ) from error
    generator = torch.Generator()
    if chosen.seed is None:
        generator.seed()
    else:
        generator.manual_seed(chosen.seed)
    return chosen, generator


def _settled(text: str, layout: str | None) -> str:
    """As much of a text as later tokens can't change: no half character, nor the begin of the mark that ends it."""
    text = text.rstrip("\ufffd")
    if layout == "chat":
        held = next((size for size in range(len(END) - 1, 0, -1) if text.endswith(END[:size])), 0)
        text = text[: len(text) - held]
    return text

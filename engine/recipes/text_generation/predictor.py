"""Continues prompts with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.artifact import load_weights, read_artifact
from engine.catalogue import explain
from engine.protocol import EngineError, FailureCode
from engine.recipes.text_generation.config import TextGenerationConfig
from engine.recipes.text_generation.model import GPT, continue_text
from engine.recipes.text_generation.tokens import Tokenizer, describe_back
from engine.recipes.text_generation.trainer import make_model

MAX_PROMPT = 100_000


class Parameters(BaseModel):
    """How to continue."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    max_new_tokens: int = Field(200, ge=1, le=1000)
    temperature: float = Field(0.8, ge=0, le=5)  # 0: always the likeliest token
    top_k: int | None = Field(None, ge=1, le=100_000)  # None: any token may come
    seed: int | None = Field(None, ge=0, lt=2**63)  # None: another continuation each time


class TextGenerationPredictor:
    """A loaded model."""

    def __init__(self, model: GPT, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder; EngineError when its files can't be used."""
        facts = read_artifact(folder, "text-generation")
        tokenizer = describe_back(facts["tokens"])
        model = make_model(TextGenerationConfig.model_validate(facts["config"]), tokenizer.size)
        load_weights(folder, model, device)
        return cls(model, tokenizer)

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """A continuation of each prompt: {"text": prompt + completion, "completion": …}.

        EngineError BAD_DATA for what isn't text or holds characters that the model never saw, BAD_CONFIG
        for wrong parameters."""
        try:
            chosen = Parameters.model_validate(parameters or {})
        except ValidationError as error:
            raise EngineError(
                FailureCode.BAD_CONFIG, f"The parameters are not valid: {explain(error)}.", "Correct them."
            ) from error
        generator = torch.Generator()
        if chosen.seed is None:
            generator.seed()
        else:
            generator.manual_seed(chosen.seed)
        return [self._continue(prompt, chosen, generator) for prompt in inputs]

    def _continue(self, prompt: Any, chosen: Parameters, generator: torch.Generator) -> dict[str, Any]:
        if not isinstance(prompt, str) or len(prompt) > MAX_PROMPT:
            raise EngineError(
                FailureCode.BAD_DATA,
                f"A prompt must be text of at most {MAX_PROMPT:,} characters.",
                "Send a list of strings.",
            )
        # An empty prompt begins as a new line would.
        start = prompt or self.tokenizer.decode([self._first()])
        made = continue_text(
            self.model,
            self.tokenizer.encode(start).tolist(),
            chosen.max_new_tokens,
            generator,
            chosen.temperature,
            chosen.top_k,
        )
        completion = self.tokenizer.decode(made)
        return {"text": prompt + completion, "completion": completion}

    def _first(self) -> int:
        try:
            return int(self.tokenizer.encode("\n")[0])
        except EngineError:  # a vocabulary without line ends
            return 0

"""Makes pictures of prompts with a trained adapter and its base model."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.artifact import read_artifact
from engine.protocol import EngineError, FailureCode
from engine.recipes.image_generation.base import ADAPTER, find_base, open_pipeline
from engine.recipes.image_generation.pictures import png
from engine.recipes.image_generation.trainer import make_picture
from engine.refusals import explain

MAX_PROMPT = 2000


class Parameters(BaseModel):
    """How a picture is made."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    steps: int = Field(25, ge=1, le=200)
    guidance: float = Field(6.0, ge=1, le=30)
    negative_prompt: str = Field("", max_length=MAX_PROMPT)
    seed: int | None = Field(None, ge=0, lt=2**63)  # None: another picture each time


class ImageGenerationPredictor:
    """A loaded pipeline with its adapter."""

    def __init__(self, pipeline: Any, side: int) -> None:
        self.pipeline = pipeline
        self.side = side

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """Load an artifact folder and its base; EngineError when one of them can't be used."""
        facts = read_artifact(folder, "image-generation")
        pipeline = open_pipeline(find_base(folder))
        try:
            pipeline.load_lora_weights(folder, weight_name=ADAPTER)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise EngineError(
                FailureCode.BAD_CONFIG, f"The adapter can't be loaded: {error}.", "Train the model again."
            ) from error
        pipeline.to(device)
        return cls(pipeline, int(facts["resolution"]))

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """A picture of each prompt: {"image": PNG in base64, "width", "height", "seed"}.

        EngineError BAD_DATA for what isn't text, BAD_CONFIG for wrong parameters."""
        try:
            chosen = Parameters.model_validate(parameters or {})
        except ValidationError as error:
            raise EngineError(
                FailureCode.BAD_CONFIG, f"The parameters are not valid: {explain(error, Parameters)}.", "Correct them."
            ) from error
        return [self._picture(prompt, chosen, number) for number, prompt in enumerate(inputs)]

    def _picture(self, prompt: Any, chosen: Parameters, number: int) -> dict[str, Any]:
        if not isinstance(prompt, str) or len(prompt) > MAX_PROMPT:
            raise EngineError(
                FailureCode.BAD_DATA,
                f"A prompt must be text of at most {MAX_PROMPT:,} characters.",
                "Send a list of strings.",
            )
        seed = torch.Generator().seed() % 2**63 if chosen.seed is None else (chosen.seed + number) % 2**63
        picture = make_picture(
            self.pipeline, prompt, self.side, chosen.steps, chosen.guidance, seed, chosen.negative_prompt
        )
        encoded = base64.b64encode(png(picture)).decode()
        return {"image": encoded, "width": picture.width, "height": picture.height, "seed": seed}

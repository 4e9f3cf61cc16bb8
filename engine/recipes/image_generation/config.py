"""Settings of image generation."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from engine.config import (
    Accumulate,
    Auto,
    Facts,
    Precision,
    RecipeConfig,
    accumulation_setting,
    base_model_setting,
    deterministic_setting,
    final_rate_setting,
    gradient_clip_setting,
    precision_setting,
    setting,
    warmup_setting,
)


class ImageGenerationConfig(RecipeConfig):
    """Fine-tunes a latent-diffusion pipeline (Stable Diffusion 1 and 2, and what is built like them) by LoRA, in the
    manner of DreamBooth: three to thirty pictures of a subject or a style, each with a caption that names it by a rare
    word ('a photo of sks dog'). The result is a small adapter, and the pictures that it makes of your prompts are
    shown while it learns. It needs a base pipeline in the format of diffusers; a GPU is advised for real ones.

    The validation loss is that of the noise that the model predicts on held-out pictures, at fixed noise and times,
    beside that of the untouched base model. A version without validation pictures is fine: look at the samples.
    """

    base_model: str = base_model_setting()
    prompt: str = setting(
        "",
        "Caption of pictures without one",
        "What pictures without a caption show, such as 'a photo of sks dog'. Use a rare word for what is new.",
        "Data",
        max_length=500,
    )
    resolution: Auto | Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = setting(
        "auto",
        "Resolution",
        "Pictures are cropped and scaled to a square of this many pixels. Auto: what the base model was made for. "
        "Lower it when memory runs out.",
        "Data",
    )
    horizontal_flip: bool = setting(
        False,
        "Mirror pictures",
        "Mirrors half of the pictures left to right. Turn on for styles and symmetric things; never for faces with a "
        "parting, or for writing.",
        "Data",
    )
    steps: Auto | Annotated[int, Field(ge=1, le=1_000_000)] = setting(
        "auto",
        "Steps",
        "How many times the weights are updated. Auto: 100 for each picture, 400 to 2,000. Fewer when the samples look "
        "burnt or all alike, more when they don't show the subject yet.",
    )
    batch_size: int = setting(1, "Batch size", "Pictures per step. 1 suits a few pictures.", ge=1, le=256)
    learning_rate: float = setting(
        1e-4, "Learning rate", "Highest size of an update. Lower it when samples fall apart.", gt=0, le=1
    )
    rank: int = setting(
        8,
        "Rank",
        "Size of the adapter. 4 to 16 suits a subject, 32 and more a style with many pictures.",
        "Model",
        ge=1,
        le=512,
    )
    alpha: Auto | Annotated[float, Field(gt=0, le=4096)] = setting(
        "auto", "Alpha", "Weight of the adapter, divided by the rank. Auto: the rank.", "Model"
    )
    class_prompt: str = setting(
        "",
        "Class prompt",
        "What the subject is one of, such as 'a photo of a dog'. With class pictures it keeps the model from "
        "forgetting what other dogs look like.",
        "Prior preservation",
        max_length=500,
    )
    class_pictures: int = setting(
        0,
        "Class pictures",
        "How many pictures of the class prompt the base model makes before the training, to learn from beside yours. "
        "0: none; 50 to 200 when other things of the class begin to look like your subject.",
        "Prior preservation",
        ge=0,
        le=2000,
    )
    class_weight: float = setting(
        1.0,
        "Weight of class pictures",
        "How much the class pictures count beside yours.",
        "Prior preservation",
        ge=0,
        le=10,
    )
    sample_prompts: str = setting(
        "",
        "Sample prompts",
        "What the samples show, a prompt a line, at most 4. Empty: the caption of the first picture.",
        "Progress",
        lines=True,
        max_length=2000,
    )
    sample_every: int = setting(
        100, "Sample every", "Steps between two looks: validation loss and samples.", "Progress", ge=1, le=1_000_000
    )
    sample_steps: int = setting(
        20, "Steps of a sample", "Denoising steps for each sample picture. More is finer.", "Progress", ge=1, le=200
    )
    guidance: float = setting(
        6.0, "Guidance", "How closely samples keep to their prompt; 1 turns it off.", "Progress", ge=1, le=30
    )
    caption_dropout: float = setting(
        0.05,
        "Caption dropout",
        "Share of pictures that are learned without their caption, which guidance needs.",
        "Advanced",
        ge=0,
        lt=1,
    )
    signal_to_noise: float = setting(
        5.0,
        "Signal-to-noise limit",
        "Steps with little noise count less than their number would make them (min-SNR weighting); 0 turns it off.",
        "Advanced",
        ge=0,
        le=100,
    )
    gradient_checkpointing: bool = setting(
        False,
        "Gradient checkpointing",
        "Calculates parts of the network twice instead of keeping them: a third less speed, much less memory.",
        "Advanced",
    )
    warmup_ratio: float = warmup_setting()
    minimum_learning_rate_ratio: float = final_rate_setting(0.1)
    weight_decay: float = setting(
        0.01, "Weight decay", "Pulls the adapter's weights towards zero.", "Advanced", ge=0, le=10
    )
    gradient_clip: float = gradient_clip_setting()
    accumulate: Accumulate = accumulation_setting()
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()

    def from_scratch(self) -> str:
        return "Pictures are made by an adapter of a model that is there."

    def least_memory(self, facts: Facts) -> int | None:
        """The pipeline, which encodes pictures and captions in float32 before the training."""
        numbers = facts.get("base_numbers")
        return None if numbers is None else 4 * numbers

    @model_validator(mode="after")
    def class_pictures_need_a_prompt(self) -> Self:
        if self.class_pictures and not self.class_prompt:
            raise ValueError(
                "Class pictures need a class prompt: say what the subject is one of, or ask for 0 pictures."
            )
        return self

    @model_validator(mode="after")
    def few_sample_prompts(self) -> Self:
        if len(self.prompts_of_samples) > 4:
            raise ValueError("There are more than 4 sample prompts: leave the 4 that tell most.")
        return self

    @property
    def prompts_of_samples(self) -> list[str]:
        """The sample prompts, one a line."""
        return [line.strip() for line in self.sample_prompts.splitlines() if line.strip()]

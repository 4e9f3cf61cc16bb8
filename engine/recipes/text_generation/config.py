"""Settings of text generation."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from engine.config import (
    Facts,
    Precision,
    RecipeConfig,
    accumulation_setting,
    base_model_setting,
    deterministic_setting,
    precision_setting,
    setting,
)


class TextGenerationConfig(RecipeConfig):
    """A compact GPT from scratch. The defaults train in about a minute on a CPU."""

    base_model: str = base_model_setting()
    tokenizer: Literal["character", "byte"] = setting(
        "character",
        "Tokens",
        "What the model reads and writes. Character: one token per character that occurs in the texts. "
        "Byte: works for any language and never meets an unknown character, but sequences get longer.",
        "Model",
    )
    layers: int = setting(
        4, "Layers", "Depth of the network. More layers learn more and train slower.", "Model", ge=1, le=48
    )
    heads: int = setting(
        4,
        "Attention heads",
        "Parts that the width is split into; must divide the width.",
        "Model",
        ge=1,
        le=64,
    )
    width: int = setting(
        128,
        "Width",
        "Size of the vector of each token. Raise it with the amount of text: 128 suits one megabyte.",
        "Model",
        ge=8,
        le=4096,
    )
    block_size: int = setting(
        64,
        "Context length",
        "How many tokens the model looks back. Longer keeps a thread longer and costs memory.",
        "Model",
        ge=8,
        le=8192,
    )
    steps: int = setting(2000, "Steps", "How many times the weights are updated.", "Training", ge=1, le=10_000_000)
    batch_size: int = setting(
        12,
        "Batch size",
        "Pieces of text per step. Larger is steadier and uses a GPU better; smaller needs less memory.",
        "Training",
        ge=1,
        le=4096,
    )
    learning_rate: float = setting(
        1e-3,
        "Learning rate",
        "Highest size of an update. Lower it when the loss jumps; large models need less.",
        "Training",
        gt=0,
        le=1,
    )
    dropout: float = setting(
        0.0,
        "Dropout",
        "Share of activations left out at random. Raise to 0.1–0.2 when validation loss rises while "
        "training loss falls.",
        "Training",
        ge=0,
        lt=1,
    )
    evaluate_every: int = setting(
        250,
        "Evaluate every",
        "Steps between two looks at the validation text.",
        "Progress",
        ge=1,
        le=1_000_000,
    )
    evaluation_batches: int = setting(
        20,
        "Evaluation batches",
        "Batches per look during training; the last evaluation always reads all of the validation text.",
        "Progress",
        ge=1,
        le=10_000,
    )
    sample_every: int = setting(
        500, "Sample every", "Steps between two samples of what the model writes; 0 for none.", "Progress",
        ge=0, le=1_000_000,
    )  # fmt: skip
    sample_prompt: str = setting(
        "", "Sample prompt", "What the samples begin with; may be empty.", "Progress", max_length=2000
    )
    sample_length: int = setting(200, "Sample length", "Tokens per sample.", "Progress", ge=1, le=2000)
    minimum_learning_rate_ratio: float = setting(
        0.1,
        "Final learning rate (ratio)",
        "The learning rate falls along a cosine to this share of its highest value.",
        "Advanced",
        ge=0,
        le=1,
    )
    warmup_steps: int = setting(
        100,
        "Warm-up steps",
        "Steps over which the learning rate rises from zero. Raise it when a run diverges early.",
        "Advanced",
        ge=0,
        le=1_000_000,
    )
    weight_decay: float = setting(
        0.1, "Weight decay", "Pulls weights towards zero; limits overfitting.", "Advanced", ge=0, le=10
    )
    gradient_clip: float = setting(
        1.0,
        "Gradient clip",
        "Gradients longer than this are shortened to it, which tames rare bad batches; 0 turns it off.",
        "Advanced",
        ge=0,
        le=1000,
    )
    accumulate: int = accumulation_setting()
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()

    @model_validator(mode="after")
    def width_splits_into_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"Width {self.width} can't be split into {self.heads} attention heads: "
                "choose a width that is a multiple of the heads."
            )
        return self

    @classmethod
    def recommend(cls, facts: Facts) -> dict[str, tuple[Any, str]]:
        characters = facts.get("characters", 0)
        if 0 < characters < 200_000:
            return {"dropout": (0.2, f"about {characters:,} characters are soon known by heart")}
        if characters >= 5_000_000 and facts.get("device") == "cuda":
            because = f"about {characters:,} characters can teach a larger network, and a GPU trains it in minutes"
            return {"width": (384, because), "layers": (6, because), "heads": (6, because)}
        return {}

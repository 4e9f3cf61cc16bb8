"""Settings of text classification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config import (
    COPIES,
    Accumulate,
    Auto,
    Facts,
    Keep,
    Precision,
    RecipeConfig,
    accumulation_setting,
    adds_to_a_base,
    base_model_setting,
    deterministic_setting,
    final_rate_setting,
    gradient_clip_setting,
    keep_setting,
    patience_setting,
    precision_setting,
    setting,
    warmup_setting,
    weight_decay_setting,
)


class TextClassificationConfig(RecipeConfig):
    """Names the class of texts: spam, genre, topic, author. From scratch it learns a weight for each frequent word,
    pair of words and stretch of letters (a linear model on TF-IDF), which is hard to beat on some hundred to some ten
    thousand texts and trains in seconds on a CPU. With a base model (Hugging Face format) a language model is
    fine-tuned instead, in whole or by LoRA.

    Texts are files in a folder per class, or rows with a label. Evaluated by accuracy, macro F1 and calibration on the
    validation part, beside always naming the commonest class. The order of words matters only as far as pairs of words
    go; where meaning hangs on more than that, use a base model.
    """

    base_model: str = base_model_setting()
    method: Literal["auto", "full", "lora"] = setting(
        "auto",
        "Method",
        "How a base model is changed. Full: all weights. LoRA: small matrices beside frozen weights, much less memory "
        "and a small result. Auto: full below 200 million weights, else LoRA.",
        "Base",
    )
    lora_rank: int = setting(
        16, "LoRA rank", "Width of the added matrices. Higher learns more and is larger.", "Base", ge=1, le=512
    )
    max_length: Auto | Annotated[int, Field(ge=8, le=131_072)] = setting(
        "auto",
        "Longest text",
        "Tokens of each text that the base model reads; the rest is left out. Auto: the longest text, up to 256 and to "
        "what the model takes.",
        "Base",
    )
    epochs: Auto | Annotated[int, Field(ge=1, le=10_000)] = setting(
        "auto",
        "Epochs",
        "How often each text is seen. Auto: about 1,200 updates, at least 10 epochs, from scratch; 3 epochs, at least "
        "100 updates, of a base model.",
    )
    batch_size: int = setting(
        32, "Batch size", "Texts per step. Larger is steadier; smaller needs less memory.", ge=2, le=4096
    )
    learning_rate: Auto | Annotated[float, Field(gt=0, le=1)] = setting(
        "auto",
        "Learning rate",
        "Highest size of an update. Lower it when the loss jumps. Auto: 0.02 from scratch, 0.00005 for all weights of "
        "a base model, 0.0005 for LoRA.",
    )
    label_smoothing: float = setting(
        0.0,
        "Label smoothing",
        "Keeps the model from being too sure of itself. Raise it to 0.05 when some labels are wrong.",
        ge=0,
        lt=0.5,
    )
    keep: Keep = keep_setting("last")
    patience: int = patience_setting()
    words: int = setting(
        2,
        "Words in a row",
        "Features are single words and runs of up to this many. 0: letters only, for languages without spaces.",
        "Model",
        ge=0,
        le=4,
    )
    letters: int = setting(
        5,
        "Letters in a row",
        "Features are runs of 2 up to this many letters, which recognise endings, spellings and unknown words. 0: "
        "words only.",
        "Model",
        ge=0,
        le=8,
    )
    features: int = setting(
        200_000,
        "Features",
        "The most features that are kept, the most frequent first. Lower it for a smaller model.",
        "Model",
        ge=100,
        le=2_000_000,
    )
    lower_case: bool = setting(
        True, "Ignore case", "Capital letters count as small ones. Turn off where capitals tell something.", "Model"
    )
    dropout: float = setting(
        0.1,
        "Dropout",
        "Share of features left out at random from each text. Raise it for few texts.",
        "Model",
        ge=0,
        lt=1,
    )
    warmup_ratio: float = warmup_setting()
    minimum_learning_rate_ratio: float = final_rate_setting(0.01)
    weight_decay: float = weight_decay_setting(0.01)
    gradient_clip: float = gradient_clip_setting()
    accumulate: Accumulate = accumulation_setting()
    precision: Precision = precision_setting()
    deterministic: bool = deterministic_setting()

    def least_memory(self, facts: Facts) -> int | None:
        """Of a base model, whose weights keep the format they are stored in."""
        stored = facts.get("base_bytes")
        return stored * COPIES if stored is not None and self.method == "full" else stored

    def from_scratch(self) -> str:
        return "" if self.method in ("auto", "full") else adds_to_a_base(self.method)

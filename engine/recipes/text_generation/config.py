"""Settings of text generation."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from engine.config import (
    TRAINED,
    Accumulate,
    Auto,
    Compile,
    Facts,
    Keep,
    Precision,
    RecipeConfig,
    accumulation_setting,
    adds_to_a_base,
    base_model_setting,
    compile_setting,
    deterministic_setting,
    final_rate_setting,
    gradient_clip_setting,
    keep_setting,
    patience_setting,
    precision_setting,
    setting,
    weight_decay_setting,
)

Method = Literal["auto", "full", "lora", "qlora"]
SCRATCH_STEPS = 2000  # on running text
PASSES = 3  # through pairs and chats, or with a model to start from
FEWEST_STEPS, MOST_STEPS = 100, 5000


class TextGenerationConfig(RecipeConfig):
    """Trains a compact GPT from scratch, or fine-tunes a language model that is there already: a model folder of the
    hub (Hugging Face format) or an earlier version of this recipe. Documents are learned as running text; prompts with
    completions, and chats, as examples of which only the answers are learned.

    Evaluated by the mean loss of a token, and its exponential (perplexity), over all of the validation part, beside a
    baseline: the untuned base model, or the frequencies of the tokens when training starts from scratch. Losses of
    different tokens (characters, bytes, pieces) can't be compared with each other. From scratch expect the style of the
    texts, not knowledge; use a base model where answers have to make sense.

    A fine-tuned model reads the whole prompt as far as its context holds it, and answers in what is left of that, at
    least an eighth; of a longer prompt the beginning is left out. One from scratch writes on beyond its context, and
    forgets what lies further back.
    """

    base_model: str = base_model_setting()
    method: Method = setting(
        "auto",
        "Method",
        "How a base model is changed. Full: all weights. LoRA: small matrices beside frozen weights, much less memory "
        "and a small result. QLoRA: LoRA on weights in 4 bits, needs a GPU and bitsandbytes. Auto: full below 50 "
        "million weights, else LoRA. From scratch it has no meaning.",
        "Base",
    )
    lora_rank: int = setting(
        16, "LoRA rank", "Width of the added matrices. Higher learns more and is larger.", "Base", ge=1, le=512
    )
    lora_alpha: Auto | Annotated[float, Field(gt=0, le=1024)] = setting(
        "auto",
        "LoRA alpha",
        "The added matrices count alpha divided by the rank. Auto: twice the rank.",
        "Base",
    )
    lora_dropout: float = setting(
        0.05,
        "LoRA dropout",
        "Share of inputs of the added matrices left out at random. Raise it for few examples.",
        "Base",
        ge=0,
        lt=1,
    )
    lora_targets: str = setting(
        "auto",
        "LoRA targets",
        "Layers that get added matrices, by the ends of their names, with commas: q_proj, v_proj. Auto: all linear "
        "layers but the output layer.",
        "Base",
        max_length=500,
    )
    layout: Literal["auto", "plain", "chat", "template"] = setting(
        "auto",
        "Layout",
        "How prompts and chats become text. Plain: parts with an empty line between. Chat: marks that say who speaks. "
        "Template: as the base model's tokenizer prescribes. Auto: template where the base model has one, else chat "
        "for chats and plain for prompts with completions.",
        "Data",
    )
    packing: bool = setting(
        True,
        "Packing",
        "Several short examples share one piece of context, without seeing each other: nothing is spent on padding. "
        "Off: examples of like length are padded to the longest of their batch.",
        "Data",
    )
    tokenizer: Literal["auto", "character", "byte", "pieces"] = setting(
        "auto",
        "Tokens",
        "What the model reads and writes. Character: one token per character that occurs in the texts. "
        "Byte: works for any language and never meets an unknown character, but sequences get longer. "
        "Pieces: frequent pieces of words, learned from the training part (BPE); for a megabyte of text and more. "
        "Auto: that of the base model; from scratch characters, or pieces where more than 1,000 characters occur.",
        "Model",
    )
    vocabulary_size: int = setting(
        4096, "Pieces", "How many pieces are learned, when tokens are pieces.", "Model", ge=300, le=200_000
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
        "Size of the vector of each token. Raise it with the amount of text: 128 suits one megabyte. Layers, heads and "
        "width are those of the base model where there is one.",
        "Model",
        ge=8,
        le=4096,
    )
    block_size: Auto | Annotated[int, Field(ge=8, le=131_072)] = setting(
        "auto",
        "Context length",
        "How many tokens the model looks back, and the longest example. Longer keeps a thread longer and costs memory. "
        "Auto: 64 from scratch on texts, the longest example up to 512 tokens, or 512 for texts on a base model.",
        "Model",
    )
    steps: Auto | Annotated[int, Field(ge=1, le=10_000_000)] = setting(
        "auto",
        "Steps",
        "How many times the weights are updated. Auto: 2,000 from scratch on texts; otherwise three times through the "
        "data, but from 100 to 5,000.",
        "Training",
    )
    batch_size: int = setting(
        12,
        "Batch size",
        "Pieces of text per step. Larger is steadier and uses a GPU better; smaller needs less memory.",
        "Training",
        ge=1,
        le=4096,
    )
    learning_rate: Auto | Annotated[float, Field(gt=0, le=1)] = setting(
        "auto",
        "Learning rate",
        "Highest size of an update. Lower it when the loss jumps. Auto: from scratch 0.003, less for a width above "
        "128; LoRA 0.0002; all weights of a base model 0.00005. For an earlier version of this recipe five times "
        "as much.",
        "Training",
    )
    dropout: float = setting(
        0.0,
        "Dropout",
        "Share of activations left out at random, from scratch. Raise to 0.1–0.2 when validation loss rises while "
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
    keep: Keep = keep_setting("best")
    patience: int = patience_setting()
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
        "", "Sample prompt", "What the samples begin with; may be empty.", "Progress", lines=True, max_length=2000
    )
    sample_length: int = setting(200, "Sample length", "Tokens per sample.", "Progress", ge=1, le=2000)
    minimum_learning_rate_ratio: float = final_rate_setting(0.01)
    warmup_steps: int = setting(
        100,
        "Warm-up steps",
        "Steps over which the learning rate rises from zero, at most a quarter of the run. Raise it when a run "
        "diverges early.",
        "Advanced",
        ge=0,
        le=1_000_000,
    )
    weight_decay: float = weight_decay_setting(0.1)
    gradient_clip: float = gradient_clip_setting()
    gradient_checkpointing: bool = setting(
        False,
        "Gradient checkpointing",
        "Calculates the inner values of the network twice instead of keeping them: about a third slower, much less "
        "memory.",
        "Advanced",
    )
    accumulate: Accumulate = accumulation_setting()
    precision: Precision = precision_setting()
    compile: Compile = compile_setting()
    deterministic: bool = deterministic_setting()

    def least_memory(self, facts: Facts) -> int | None:
        """The weights, with what trains them. Of the vocabulary from scratch only bytes are known beforehand."""
        if (numbers := facts.get("base_numbers")) is None:
            tokens = 256 if self.tokenizer == "byte" else 0
            return TRAINED * (12 * self.layers * self.width**2 + tokens * self.width)
        if self.method == "full":
            return TRAINED * numbers
        if self.method == "qlora":
            return numbers // 2
        # A frozen base is in 16 bits where the device calculates so; what 'auto' decides by is read in float32.
        halved = self.method == "lora" and facts.get("device") == "cuda" and self.precision in ("auto", "bfloat16")
        return (2 if halved else 4) * numbers

    def steps_for(self, items: int, per_epoch: float | None = None) -> int | None:
        """Where they are not set, only who has seen what the data are and what it starts from can tell."""
        if self.steps != "auto":
            return self.steps
        return None if per_epoch is None else self.steps_of(False, per_epoch)

    def steps_of(self, texts_from_scratch: bool, per_epoch: float) -> int:
        """How many steps a run takes whose data would take `per_epoch` for one pass."""
        if self.steps != "auto":
            return self.steps
        if texts_from_scratch:
            return SCRATCH_STEPS
        return max(FEWEST_STEPS, min(MOST_STEPS, math.ceil(PASSES * per_epoch)))

    def from_scratch(self) -> str:
        return "" if self.method in ("auto", "full") else adds_to_a_base(self.method)

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

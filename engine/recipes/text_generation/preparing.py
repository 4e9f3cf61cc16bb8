"""What a run begins with: tokenizer, network, method and context length, chosen from settings, base and data."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from engine import bases, lora, weights
from engine.data import Dataset
from engine.device import Device
from engine.protocol import EngineError, FailureCode
from engine.recipes.text_generation import language
from engine.recipes.text_generation.config import TextGenerationConfig
from engine.recipes.text_generation.examples import LONGEST, Layout, choose_layout, longest_of
from engine.recipes.text_generation.language import Language
from engine.recipes.text_generation.text import LEAST_BLOCK, Items, Texts
from engine.recipes.text_generation.tokens import Bytes, Characters, Pieces, Tokenizer
from engine.task import Context

BLOCK = 64  # of running text, from scratch
SMALL = 50_000_000  # weights below which all of them are trained
MANY_CHARACTERS = 1000

Chosen = Literal["scratch", "full", "lora", "qlora"]


@dataclass(frozen=True)
class Beginning:
    """What is trained, how, and on how long a context."""

    language: Language
    method: Chosen
    block: int
    layout: Layout | None  # of examples; None for running text

    @property
    def learning_rate(self) -> float:
        """The highest rate that suits the method."""
        if self.method == "scratch":
            width = self.language.network["width"]
            return 3e-3 * min(1.0, 128 / width)
        own = 5 if self.language.own else 1  # these networks are small and stand larger steps
        return own * (5e-5 if self.method == "full" else 2e-4)


def begin(
    context: Context,
    config: TextGenerationConfig,
    device: Device,
    dataset: Dataset,
    items: Items,
    texts: Texts | None,
) -> Beginning:
    """`texts` None: the items are examples. EngineError BAD_CONFIG for settings that don't go together."""
    if context.spec.base is None:
        return _from_scratch(context, config, dataset, items, texts)
    found, chosen = _load(context.spec.base, _method(config, device), device)
    _check_tokens(config, found)
    _prepare(context, config, found, chosen)
    layout = choose_layout(config.layout, items.train, found.tokenizer, found.layout) if texts is None else None
    block = _block(config, found, dataset, items, layout)
    what = "all weights" if chosen == "full" else f"matrices of rank {(found.adapter or {}).get('rank')}"
    context.log(f"Starts from '{context.spec.base.name}': {what} are trained on {block:,} tokens of context.")
    return Beginning(found, chosen, block, layout)


def _load(base: Path, method: str, device: Device) -> tuple[Language, Chosen]:
    """The base, in the number format that suits the method, and the method, which 'auto' leaves to be chosen."""
    if method != "auto":
        chosen: Chosen = "full" if method == "full" else "qlora" if method == "qlora" else "lora"
        dtype = torch.bfloat16 if chosen == "lora" and device.dtype is torch.bfloat16 else torch.float32
        return language.from_base(base, dtype, quantised=chosen == "qlora"), chosen
    # Headers count at most what is loaded: with them a large base is never held in twice the memory that it needs.
    known = weights.held(base)
    if known is not None and known.numbers >= SMALL:
        return _load(base, "lora", device)
    found, _ = _load(base, "full", device)
    if found.adapter is None and sum(p.numel() for p in found.model.parameters()) < SMALL:
        return found, "full"
    if found.own or found.adapter is not None or device.dtype is not torch.bfloat16:
        return found, "lora"
    del found  # before it is loaded in half the memory
    return _load(base, "lora", device)


def _from_scratch(
    context: Context, config: TextGenerationConfig, dataset: Dataset, items: Items, texts: Texts | None
) -> Beginning:
    if reason := config.from_scratch():
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"{reason} This run has none.",
            "Choose a base model or a base version, or set the method to auto.",
        )
    layout = choose_layout(config.layout, items.train, Bytes(), None) if texts is None else None
    tokenizer = _learn_tokens(context, config, dataset, items, texts, layout)
    if config.block_size != "auto":
        block = config.block_size
    elif texts is None:
        assert layout is not None
        block = max(LEAST_BLOCK, min(LONGEST, longest_of(dataset, items.train, layout, tokenizer)))
    else:
        shortest = min(len(tokenizer.encode("".join(part))) for part in (texts.train, texts.validation))
        block = max(LEAST_BLOCK, min(BLOCK, shortest - 1))
    return Beginning(language.fresh(config, tokenizer, block), "scratch", block, layout)


def _learn_tokens(
    context: Context,
    config: TextGenerationConfig,
    dataset: Dataset,
    items: Items,
    texts: Texts | None,
    layout: Layout | None,
) -> Tokenizer:
    """The vocabulary of a model from scratch. Pieces are learned from the training part alone; a character that only
    the other parts hold gets a token too, as they could not be read without."""
    if texts is not None:
        train, rest = texts.train, [*texts.validation, *texts.test]
    else:
        train, rest = (
            [_written(dataset, item.content, dataset.text(item), layout) for item in part]
            for part in (items.train, [*items.validation, *items.test])
        )
    kind = config.tokenizer
    if kind == "byte":
        return Bytes()
    if kind != "pieces":
        characters = Characters.of([*train, *rest])
        if kind == "character" or characters.end <= MANY_CHARACTERS:
            return characters
        context.log(f"The texts hold {characters.end:,} different characters, so tokens are pieces.")
    pieces = Pieces.learned(train, config.vocabulary_size)
    context.log(f"{pieces.size:,} pieces were learned from the training part.")
    return pieces


def _written(dataset: Dataset, content: dict | None, text: str, layout: Layout | None) -> str:
    """A row with everything that its layout writes around it."""
    from engine.pairs import lay_out

    if content is None or "text" in content or layout is None:
        return text
    try:
        return lay_out(content, "chat" if layout == "chat" else "plain").text
    except ValueError:
        return text  # told where the row is learned


def _method(config: TextGenerationConfig, device: Device) -> str:
    if config.method != "qlora":
        return config.method
    lacking = []
    if device.torch.type != "cuda":
        lacking.append("a GPU with CUDA")
    if importlib.util.find_spec("bitsandbytes") is None:
        lacking.append("the package bitsandbytes")
    if lacking:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"QLoRA needs {' and '.join(lacking)}, which this node does not have.",
            "Set the method to lora, or run the job where it is there.",
        )
    return "qlora"


def _check_tokens(config: TextGenerationConfig, found: Language) -> None:
    used = found.tokenizer.description()["tokenizer"]
    if config.tokenizer not in ("auto", used):
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The base model reads {used} tokens, and the settings ask for {config.tokenizer}.",
            "Set tokens to auto: a model keeps the vocabulary that it was trained with.",
        )


def _prepare(context: Context, config: TextGenerationConfig, found: Language, method: Chosen) -> None:
    """Decide which weights are trained."""
    if method == "full":
        if found.adapter is not None:
            lora.merge(found.model)
            found.adapter, found.base = None, bases.reference(context.spec.base)  # type: ignore[arg-type]
        for parameter in found.model.parameters():
            parameter.requires_grad_(True)
    elif found.adapter is None:
        alpha = 2.0 * config.lora_rank if config.lora_alpha == "auto" else float(config.lora_alpha)
        found.adapter = lora.settings_for(
            found.model, config.lora_rank, alpha, config.lora_dropout, config.lora_targets
        )
        lora.attach(found.model, found.adapter)
    else:
        context.log("The base is an adapter already: its matrices are trained on, with their rank and targets.")
    _checkpoint_gradients(found.model, config.gradient_checkpointing, found.own)


def _checkpoint_gradients(model: nn.Module, wanted: bool, own: bool) -> None:
    if wanted and own:
        model.recompute = True  # type: ignore[assignment]
    elif wanted:
        model.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]


def _block(config: TextGenerationConfig, found: Language, dataset: Dataset, items: Items, layout: Layout | None) -> int:
    if config.block_size != "auto":
        if config.block_size > found.limit:
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"The base model takes at most {found.limit:,} tokens, and block_size asks for {config.block_size:,}.",
                f"Set block_size to auto, or to at most {found.limit:,}.",
            )
        return config.block_size
    if layout is None:
        return min(LONGEST, found.limit)
    return max(LEAST_BLOCK, min(LONGEST, found.limit, longest_of(dataset, items.train, layout, found.tokenizer)))

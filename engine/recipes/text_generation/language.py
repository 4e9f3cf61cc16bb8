"""A language model at hand: network and tokenizer, of this recipe's own kind or in Hugging Face format."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import bases, hugging_face, lora
from engine.recipes.text_generation.config import TextGenerationConfig
from engine.recipes.text_generation.model import GPT, visible
from engine.recipes.text_generation.tokens import PIECES, Borrowed, Tokenizer, describe_back

RECIPE = "text-generation"
KIND = "AutoModelForCausalLM"
OWN, HUGGING_FACE = "gpt", "hugging-face"
ROOM = 8  # the part of a context that a prompt leaves to the answer is at least one in so many


@dataclass
class Language:
    """Tokens (batch, length) become logits (batch, length, vocabulary)."""

    model: nn.Module
    tokenizer: Tokenizer
    limit: int  # the longest text that the network takes, in tokens
    network: dict[str, Any]  # how the network is made again, for config.json
    layout: str | None = None  # of the base's examples, when it is a version that learned some
    base: dict[str, Any] | None = None  # what the weights come from
    adapter: dict[str, Any] | None = None  # settings of the LoRA matrices that are attached

    @property
    def own(self) -> bool:
        """Whether the network is this recipe's."""
        return self.network["family"] == OWN

    @property
    def ends(self) -> set[int]:
        """The tokens that end an answer: chat models often have a mark for it beside their end of text."""
        closing = self.tokenizer.closing if isinstance(self.tokenizer, Borrowed) else None
        return {self.tokenizer.end, *self.network.get("ends", ()), *([] if closing is None else [closing])}

    def logits(self, tokens: torch.Tensor, segments: torch.Tensor | None = None) -> torch.Tensor:
        """`segments` (batch, length) numbers the examples that share a row from 1 on; 0 is padding."""
        if self.own:
            return self.model(tokens, segments)
        if segments is None:
            return self.model(input_ids=tokens, use_cache=False).logits
        return self.model(
            input_ids=tokens, attention_mask=visible(segments), position_ids=places(segments), use_cache=False
        ).logits

    def continue_tokens(
        self,
        tokens: list[int],
        count: int,
        generator: torch.Generator,
        temperature: float = 1.0,
        top_k: int | None = None,
    ) -> list[int]:
        """At most `count` tokens that follow `tokens` (at least one), up to an end token, which is left out.
        Temperature 0 always takes the likeliest. A network in Hugging Face format writes only what its context has
        room for behind `tokens`, of which the beginning is left out where less than an eighth would be left."""
        return list(self.following(tokens, count, generator, temperature, top_k))

    @torch.no_grad()
    def following(
        self,
        tokens: list[int],
        count: int,
        generator: torch.Generator,
        temperature: float = 1.0,
        top_k: int | None = None,
    ) -> Iterator[int]:
        """The tokens of `continue_tokens`, each as soon as it is chosen."""
        made: list[int] = []
        ends = self.ends
        for logits in self._next(tokens, made, count):
            token = _choose(logits, generator, temperature, top_k)
            if token in ends:
                return
            made.append(token)
            yield token

    def _next(self, tokens: list[int], made: list[int], count: int) -> Iterator[torch.Tensor]:
        """The logits after `tokens` and what was `made` since, one by one."""
        device = next(self.model.parameters()).device
        if self.own:
            past = self.model.nothing_yet()  # type: ignore[operator]
            for _ in range(count):
                known = [*tokens, *made]
                # Once the window moves, every token in it has another past: nothing of it is known yet.
                fits = len(known) <= self.limit
                new = known[past[0].length :] if fits else known[-self.limit :]
                logits = self.model(torch.tensor([new], device=device), past=past if fits else None)
                yield logits[0, -1].float().cpu()
            return
        # The prompt matters more than the length of the answer, for which some room is kept.
        known = tokens[-max(1, self.limit - min(count, max(1, self.limit // ROOM))) :]
        given, past = torch.tensor([known], device=device), None
        for _ in range(min(count, self.limit - len(known))):
            answer = self.model(input_ids=given, past_key_values=past, use_cache=True)
            past = answer.past_key_values
            yield answer.logits[0, -1].float().cpu()
            given = torch.tensor([made[-1:]], device=device)


def fresh(config: TextGenerationConfig, tokenizer: Tokenizer, block: int) -> Language:
    """A GPT with fresh weights."""
    sizes = {"layers": config.layers, "heads": config.heads, "width": config.width, "block_size": block}
    model = GPT(tokenizer.size, **sizes, dropout=config.dropout)
    return Language(model, tokenizer, block, {"family": OWN, **sizes})


def from_base(folder: Path, dtype: torch.dtype = torch.float32, quantised: bool = False) -> Language:
    """The model to start from: the artifact of a version, or a folder in Hugging Face format. EngineError BAD_CONFIG
    says what it lacks."""
    facts = hugging_face.facts_of(folder)
    if "format" in facts:
        if facts.get("recipe") != RECIPE:
            reason = f"it is a version made by {facts.get('recipe')}"
            raise hugging_face.unusable(folder.name, reason, "Choose one of this recipe.")
        language = from_artifact(folder, facts)
    else:
        language = _from_hugging_face(folder, dtype, quantised)
    if language.adapter is None:
        language.base = bases.reference(folder)
    return language


def from_artifact(folder: Path, facts: dict[str, Any]) -> Language:
    """What a version of this recipe made; of an adapter the base is found and checked too."""
    network = facts["network"]
    if "adapter" in facts:
        language = from_base(bases.find(facts["base"], folder))
        lora.attach(language.model, facts["adapter"])
        lora.load(language.model, folder)
        language.adapter, language.base, language.layout = facts["adapter"], facts["base"], facts["layout"]
        return language
    tokenizer: Tokenizer
    if network["family"] == OWN:
        pieces = folder / PIECES
        definition = pieces.read_text(encoding="utf-8") if pieces.exists() else None
        tokenizer = describe_back(facts["tokens"], definition)
        sizes = {name: network[name] for name in ("layers", "heads", "width", "block_size")}
        model: nn.Module = GPT(tokenizer.size, **sizes)
        limit = sizes["block_size"]
    else:
        tokenizer = _tokenizer(folder)
        model = hugging_face.made(KIND, network["config"])
        limit = hugging_face.limit(model)
    hugging_face.fill(model, folder)
    return Language(model, tokenizer, limit, network, facts["layout"], facts.get("base"))


def places(segments: torch.Tensor) -> torch.Tensor:
    """The position of each token in its own example, (batch, length)."""
    length = segments.shape[1]
    here = torch.arange(length, device=segments.device).expand_as(segments)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    return here - torch.where(begins, here, 0).cummax(1).values


def _from_hugging_face(folder: Path, dtype: torch.dtype, quantised: bool) -> Language:
    tokenizer = _tokenizer(folder)
    options: dict[str, Any] = {"dtype": dtype}
    if quantised:
        options["quantization_config"] = hugging_face.library().BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = hugging_face.load(KIND, folder, **options)
    hugging_face.check_vocabulary(folder, tokenizer.size, model)
    network: dict[str, Any] = {"family": HUGGING_FACE, "config": hugging_face.described(model)}
    if ends := sorted(tokenizer.marks & hugging_face.ends_of(folder)):
        network["ends"] = ends
    return Language(model, tokenizer, hugging_face.limit(model), network)


def _tokenizer(folder: Path) -> Borrowed:
    found, stored = hugging_face.tokenizer(folder)
    if found.eos_token_id is None:
        hint = "Name one in tokenizer_config.json."
        raise hugging_face.unusable(folder.name, "its tokenizer has no end token (eos_token)", hint)
    return Borrowed(found, stored)


def _choose(logits: torch.Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> int:
    if temperature == 0:
        return int(logits.argmax())
    logits = logits / temperature
    if top_k is not None and top_k < len(logits):
        logits[logits < logits.topk(top_k).values[-1]] = -math.inf
    return int(torch.multinomial(logits.softmax(0), 1, generator=generator))

"""A language model of the Hugging Face format that names classes: fine-tuned in whole, or by LoRA and a new head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import bases, hugging_face, lora, state
from engine.protocol import EngineError, FailureCode
from engine.task import Context

KIND = "AutoModelForSequenceClassification"
RECIPE = "text-classification"
HEAD = "head.safetensors"
HEAD_NAMES = ("classifier.", "score.", "pre_classifier.")
SMALL = 200_000_000  # weights below which all of them are trained
LONGEST = 256


class Texts:
    """Texts as token numbers of different lengths."""

    device = torch.device("cpu")  # they are small; batches travel

    def __init__(self, rows: list[list[int]], filler: int) -> None:
        self.rows, self.filler = rows, filler

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: torch.Tensor | slice) -> Texts:
        chosen = self.rows[which] if isinstance(which, slice) else [self.rows[place] for place in which.tolist()]
        return Texts(chosen, self.filler)

    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens, and which of them are no padding, (texts, longest) each."""
        longest = max(map(len, self.rows))
        tokens = torch.full((len(self.rows), longest), self.filler, dtype=torch.long)
        for place, row in enumerate(self.rows):
            tokens[place, : len(row)] = torch.tensor(row)
        lengths = torch.tensor([len(row) for row in self.rows])
        return tokens, torch.arange(longest) < lengths[:, None]


@dataclass
class Encoder:
    """A network, its tokenizer, and what an artifact says of both."""

    model: nn.Module
    tokenizer: Any
    stored: dict[str, bytes]  # the tokenizer's files
    limit: int
    base: dict[str, Any]
    head: list[str]  # names of the weights that are new
    adapter: dict[str, Any] | None = None

    @property
    def filler(self) -> int:
        """What texts are padded with."""
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0

    def rows(self, texts: list[str], longest: int) -> list[list[int]]:
        """The texts as tokens, the first `longest` of each."""
        found = self.tokenizer(texts, truncation=True, max_length=longest, verbose=False)["input_ids"]
        return [row or [self.filler] for row in found]

    def logits(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """(batch, classes)."""
        tokens, there = batch
        return self.model(input_ids=tokens, attention_mask=there.long()).logits

    def facts(self) -> dict[str, Any]:
        """What config.json keeps."""
        about = {"base": self.base, "network": hugging_face.described(self.model), "limit": self.limit}
        return about | ({"adapter": self.adapter, "head": self.head} if self.adapter else {})

    def files(self) -> dict[str, bytes]:
        """The weights that were trained, and the tokenizer where the base is not needed any more."""
        if self.adapter is None:
            return {state.MODEL: state.save(hugging_face.whole(self.model)), **self.stored}
        weights = dict(self.model.named_parameters())
        head = {name: weights[name].detach().cpu().contiguous() for name in self.head}
        return {HEAD: state.save(head), **lora.files(self.model, self.adapter, self.base, "SEQ_CLS")}


def from_base(context: Context, folder: Path, classes: list[str], method: str, rank: int) -> Encoder:
    """The base of a run, ready to be trained; EngineError BAD_CONFIG says what it lacks."""
    facts = hugging_face.facts_of(folder)
    if "format" in facts:
        found = _from_version(folder, facts, classes)
    else:
        found = _fresh(folder, len(classes))
    weights = sum(parameter.numel() for parameter in found.model.parameters())
    if found.adapter is None and (method == "lora" or (method == "auto" and weights >= SMALL)):
        found.adapter = lora.settings_for(found.model, rank, 2.0 * rank, 0.05, "auto", leave=found.head)
        lora.attach(found.model, found.adapter)
        for name, parameter in found.model.named_parameters():
            if name in found.head:
                parameter.requires_grad_(True)
    elif found.adapter is not None and method == "full":
        lora.merge(found.model)
        found.adapter, found.base = None, bases.reference(folder)
    what = f"matrices of rank {found.adapter['rank']} and the head" if found.adapter else "all weights"
    context.log(f"Starts from '{folder.name}', {weights:,} weights: {what} are trained.")
    return found


def from_artifact(folder: Path, facts: dict[str, Any]) -> Encoder:
    """What this recipe made of a base; of an adapter the base is found and checked too."""
    if "adapter" not in facts:
        model = hugging_face.made(KIND, facts["network"])
        hugging_face.fill(model, folder)
        tokenizer, stored = hugging_face.tokenizer(folder)
        return Encoder(model, tokenizer, stored, facts["limit"], facts["base"], _head_of(model))
    base = bases.find(facts["base"], folder)
    known = hugging_face.facts_of(base)
    found = from_artifact(base, known) if "format" in known else _fresh(base, len(facts["classes"]))
    lora.attach(found.model, facts["adapter"])
    lora.load(found.model, folder)
    weights = state.load((folder / HEAD).read_bytes())
    with torch.no_grad():
        for name, parameter in found.model.named_parameters():
            if name in weights:
                parameter.copy_(weights[name])
                parameter.requires_grad_(True)
    found.adapter, found.base, found.head = facts["adapter"], facts["base"], facts["head"]
    return found


def _from_version(folder: Path, facts: dict[str, Any], classes: list[str]) -> Encoder:
    if facts.get("recipe") != RECIPE or "network" not in facts:
        made_by = facts.get("recipe") if facts.get("recipe") != RECIPE else "this recipe from scratch"
        hint = "Leave the base out: a model of words and letters trains from scratch in seconds."
        raise hugging_face.unusable(folder.name, f"it is a version made by {made_by}", hint)
    if facts["classes"] != classes:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The base version knows other classes ({', '.join(facts['classes'][:10])}).",
            "Start from the language model itself, or train on the same classes.",
        )
    found = from_artifact(folder, facts)
    if found.adapter is None:
        found.base = bases.reference(folder)
    return found


def _fresh(folder: Path, classes: int) -> Encoder:
    tokenizer, stored = hugging_face.tokenizer(folder)
    model = hugging_face.load(KIND, folder, num_labels=classes, dtype=torch.float32)
    hugging_face.check_vocabulary(folder, len(tokenizer), model)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    model.config.pad_token_id = tokenizer.pad_token_id
    head = _head_of(model)
    if not head:
        raise hugging_face.unusable(folder.name, "its head has an unknown name", "Choose another model.")
    return Encoder(model, tokenizer, stored, hugging_face.limit(model), bases.reference(folder), head)


def _head_of(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_parameters() if name.startswith(HEAD_NAMES)]

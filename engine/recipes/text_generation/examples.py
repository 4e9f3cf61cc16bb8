"""Prompts with completions, and chats, as rows of tokens of which only the answers are learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from engine.data import Dataset, Item, bad_data
from engine.pairs import IGNORE, Learned, completion_mask, labels, lay_out, prompt_of
from engine.protocol import EngineError, FailureCode
from engine.recipes.text_generation.tokens import Borrowed, Tokenizer
from engine.task import Context

Layout = Literal["plain", "chat", "template"]
LONGEST = 512  # of examples, when the context length is chosen by them


@dataclass(frozen=True)
class Example:
    """Tokens, and the same as targets: IGNORE where nothing is learned."""

    tokens: list[int]
    targets: list[int]
    cut: bool = False  # it was too long


@dataclass(frozen=True)
class Rows:
    """Examples in rows of equal length, (rows, length) each: tokens, targets, and the number of the example in its row
    (from 1; 0 is padding)."""

    tokens: torch.Tensor
    targets: torch.Tensor
    segments: torch.Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> torch.Tensor:
        """How many tokens of each row are no padding."""
        return (self.segments > 0).sum(1)


def choose_layout(wanted: str, items: Sequence[Item], tokenizer: Tokenizer, earlier: str | None) -> Layout:
    """'auto' decided by tokenizer and data; a version that learned a layout keeps it. EngineError BAD_CONFIG for a
    template where there is none."""
    template = isinstance(tokenizer, Borrowed) and tokenizer.template
    if wanted == "template" and not template:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            "The base model's tokenizer has no chat template.",
            "Set the layout to auto, plain or chat.",
        )
    if wanted != "auto":
        return wanted  # type: ignore[return-value]
    if earlier in ("plain", "chat", "template"):
        return earlier  # type: ignore[return-value]
    if template:
        return "template"
    return "chat" if any("messages" in (item.content or {}) for item in items) else "plain"


def laid_out(dataset: Dataset, item: Item, layout: Layout, tokenizer: Tokenizer) -> Learned:
    """An item as one text with what is learned of it; EngineError BAD_DATA names an item without an answer."""
    content = item.content or {"text": dataset.text(item)}
    try:
        if layout == "template" and "text" not in content:
            assert isinstance(tokenizer, Borrowed)
            return _by_template(tokenizer, messages_of(content))
        return lay_out(content, "chat" if layout == "chat" and "text" not in content else "plain")
    except ValueError as error:
        raise bad_data(f"'{item.name}' can't be learned: {error}.", "Complete the row, or leave it out.") from error


def prompt_text(content: Mapping[str, Any], layout: Layout, tokenizer: Tokenizer) -> str:
    """What the model is given to answer: the text up to the last answer."""
    if layout != "template":
        return prompt_of(content, layout)
    assert isinstance(tokenizer, Borrowed)
    turns = messages_of(content)
    while turns and turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    return _written(tokenizer, turns, True)


def prompt_tokens(text: str, layout: str | None, tokenizer: Tokenizer) -> list[int]:
    """A prompt as the network takes it."""
    if not isinstance(tokenizer, Borrowed):
        return tokenizer.encode(text).tolist()
    if layout == "template":
        return tokenizer.spans(text, marks=True)[0]
    return [*tokenizer.start, *tokenizer.spans(text)[0]]


def tokens_of(learned: Learned, layout: Layout, tokenizer: Tokenizer, longest: int) -> Example:
    """An example of at most `longest` + 1 tokens; what is too long loses its end. In the plain layout an end token
    follows each text, and is learned; in the others answers end by marks of their own."""
    if layout == "template":
        assert isinstance(tokenizer, Borrowed)
        ids, offsets = tokenizer.spans(learned.text, marks=True)
    else:
        ids, offsets = tokenizer.spans(learned.text)
    targets = labels(ids, completion_mask(offsets, learned.spans)).tolist()
    ids = list(ids)
    if layout != "template":
        start = tokenizer.start if isinstance(tokenizer, Borrowed) else []
        ids, targets = [*start, *ids, tokenizer.end], [*[IGNORE] * len(start), *targets, tokenizer.end]
    if targets:
        targets[0] = IGNORE  # nothing stands before it
    return Example(ids[: longest + 1], targets[: longest + 1], len(ids) > longest + 1)


def rows_of(
    dataset: Dataset,
    items: Sequence[Item],
    layout: Layout,
    tokenizer: Tokenizer,
    longest: int,
    packing: bool,
    part: str,
    context: Context,
) -> Rows:
    """A part of the data as rows of at most `longest` + 1 tokens; says what was cut or left out. EngineError BAD_DATA
    when nothing is left that can be learned."""
    examples = []
    for number, item in enumerate(items):
        if number % 256 == 0:
            context.breathe()
        examples.append(tokens_of(laid_out(dataset, item, layout, tokenizer), layout, tokenizer, longest))
    useful = [example for example in examples if any(target != IGNORE for target in example.targets)]
    cut = sum(example.cut for example in useful)
    if cut:
        context.log(
            f"{cut:,} of {len(items):,} {part} examples are longer than {longest:,} tokens; their ends are cut."
        )
    if lost := len(examples) - len(useful):
        context.log(f"{lost:,} {part} examples are left out: their prompts alone fill {longest:,} tokens.", "warning")
    if not useful:
        raise bad_data(
            f"No {part} example has an answer within {longest:,} tokens.",
            "Raise block_size, up to what the model takes, or shorten the prompts.",
        )
    groups = pack(useful, longest + 1) if packing else [[example] for example in useful]
    return _stacked(groups, tokenizer.end)


def longest_of(dataset: Dataset, items: Sequence[Item], layout: Layout, tokenizer: Tokenizer) -> int:
    """The length of the longest example in tokens, without its last."""
    lengths = (
        len(tokens_of(laid_out(dataset, item, layout, tokenizer), layout, tokenizer, 10**9).tokens) for item in items
    )
    return max(lengths, default=8) - 1


def pack(examples: Sequence[Example], size: int) -> list[list[Example]]:
    """Groups of examples of together at most `size` tokens, the longest first into the fullest group that has room."""
    groups: list[list[Example]] = []
    room: dict[int, list[int]] = {}  # tokens that are left → groups
    for example in sorted(examples, key=lambda example: -len(example.tokens)):
        need = len(example.tokens)
        fitting = min((left for left, some in room.items() if left >= need and some), default=None)
        if fitting is None:
            groups.append([example])
            room.setdefault(size - need, []).append(len(groups) - 1)
        else:
            place = room[fitting].pop()
            groups[place].append(example)
            room.setdefault(fitting - need, []).append(place)
    return groups


def messages_of(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row as turns of a chat. ValueError for content of none of the known shapes."""
    if "messages" in content:
        return [{"role": turn["role"], "content": turn["content"]} for turn in content["messages"]]
    if "completion" not in content:
        raise ValueError("the row is neither a pair nor a chat")
    turns = [("system", content.get("system")), ("user", content.get("prompt")), ("assistant", content["completion"])]
    return [{"role": role, "content": said} for role, said in turns if said]


def _by_template(tokenizer: Borrowed, turns: list[dict[str, str]]) -> Learned:
    """A chat as the tokenizer's template writes it; each answer is learned with the mark that ends it."""
    if not any(turn["role"] == "assistant" for turn in turns):
        raise ValueError("the row has nothing to learn: its completion is empty")
    text = _written(tokenizer, turns, False)
    spans = []
    for number, turn in enumerate(turns):
        if turn["role"] != "assistant":
            continue
        before = _written(tokenizer, turns[:number], True)
        until = _written(tokenizer, turns[: number + 1], False)
        if not text.startswith(until) or not until.startswith(before):
            # Some templates write earlier answers in another way once others follow: only the last one is learned.
            spans = []
            continue
        spans.append((len(before), len(until.rstrip())))
    if not spans:
        raise ValueError("the chat template of the base model writes it in a way that hides where the answer begins")
    return Learned(text, tuple(spans))


def _written(tokenizer: Borrowed, turns: list[dict[str, str]], answer_next: bool) -> str:
    from jinja2 import TemplateError

    try:
        return tokenizer.inner.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer_next)
    except TemplateError as error:
        raise ValueError(f"the chat template of the base model refuses it: {error}") from error


def _stacked(groups: Sequence[Sequence[Example]], filler: int) -> Rows:
    width = max(sum(len(example.tokens) for example in group) for group in groups)
    tokens = torch.full((len(groups), width), filler, dtype=torch.long)
    targets = torch.full_like(tokens, IGNORE)
    segments = torch.zeros_like(tokens)
    for row, group in enumerate(groups):
        first = 0
        for number, example in enumerate(group, 1):
            after = first + len(example.tokens)
            tokens[row, first:after] = torch.tensor(example.tokens)
            targets[row, first:after] = torch.tensor(example.targets)
            segments[row, first:after] = number
            first = after
    return Rows(tokens, targets, segments)

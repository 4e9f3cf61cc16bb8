"""The parts of a dataset version, and running text as one stream of tokens each."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from engine.data import Dataset, Item, bad_data
from engine.recipes.text_generation.tokens import Borrowed, Tokenizer
from engine.task import Context

LEAST_BLOCK = 8
HELD_OUT = 0.1  # share at the end, when the version has no validation items of its own


@dataclass(frozen=True)
class Texts:
    """What is learned from, what is looked at on the way, and what is looked at once, at the end (it may be empty)."""

    train: list[str]
    validation: list[str]
    test: list[str]


@dataclass(frozen=True)
class Items:
    """The same as items. `shared`: the only text, whose end is to be held out."""

    train: list[Item]
    validation: list[Item]
    test: list[Item]
    shared: bool = False

    @property
    def examples(self) -> bool:
        """Whether there are prompts with completions, or chats, to be learned one by one."""
        return any(item.content is not None and "text" not in item.content for item in self.train)


def parts_of(dataset: Dataset) -> Items:
    """The items of each part; EngineError BAD_DATA when there is nothing to train on. A version of one item gives it to
    training."""
    train, validation = dataset.part("train"), dataset.part("validation")
    if len(train) + len(validation) == 1:
        train, validation = train + validation, []
    if not train:
        raise bad_data(
            "No text of this version is meant for training.",
            "Freeze a version with a smaller validation_fraction, or add texts.",
        )
    return Items(train, validation, dataset.part("test"), shared=not validation)


def held_out(items: Items, context: Context) -> Items:
    """Items with a validation part; the last tenth of the training part where the version has none. EngineError
    BAD_DATA when there are too few."""
    if not items.shared:
        return items
    if len(items.train) < 2:
        raise bad_data("This version has a single example.", "Add examples: some are learned, some are held out.")
    cut = min(len(items.train) - 1, int(len(items.train) * (1 - HELD_OUT)))
    context.log(f"The version has no validation part of its own: the last {HELD_OUT:.0%} of the examples are held out.")
    return replace(items, train=items.train[:cut], validation=items.train[cut:], shared=False)


def texts_of(dataset: Dataset, items: Items, context: Context) -> Texts:
    """What the items say. A version without validation items gives the last tenth of its text for validation."""
    train, validation, test = (
        [dataset.text(item) for item in part] for part in (items.train, items.validation, items.test)
    )
    if items.shared:
        context.log(
            f"The version has no validation texts of its own: the last {HELD_OUT:.0%} of the text are held out."
        )
        train, validation = _divided(train)
    if not any(train):
        short = "too short to hold some of it out" if any(validation) else "empty"
        raise bad_data(f"The training texts are {short}.", "Add texts, and freeze a new version.")
    for texts, part in ((train, "training"), (validation, "validation"), (test, "test")):
        if empty := sum(not text for text in texts):
            context.log(f"{empty:,} of {len(texts):,} {part} texts are empty.", "warning")
    return Texts(train, validation, test)


def stream(texts: list[str], tokenizer: Tokenizer, context: Context) -> torch.Tensor:
    """Texts as one row of tokens, in manifest order, an end token between two."""
    end = torch.tensor([tokenizer.end])
    start = torch.tensor(tokenizer.start if isinstance(tokenizer, Borrowed) else [], dtype=torch.long)
    found: list[torch.Tensor] = []
    for number, text in enumerate(texts):
        if number % 256 == 0:
            context.breathe()
        found += [*([end] if number else []), start, tokenizer.encode(text)]
    return torch.cat(found) if found else start


def check_length(tokens: int, block_size: int, part: str) -> None:
    """EngineError BAD_DATA when a part is too short for one piece of context."""
    if tokens > block_size:
        return
    ways = ["Lower block_size"] if block_size > LEAST_BLOCK else []
    ways.append("add text")
    if part == "validation":
        ways.append("freeze a version with a larger validation_fraction")
    advice = " or ".join([", ".join(ways[:-1]), ways[-1]]).removeprefix(" or ").capitalize() + "."
    raise bad_data(
        f"The {part} text has {tokens} tokens; a context length of {block_size} needs at least {block_size + 1}.",
        advice,
    )


def _divided(texts: list[str]) -> tuple[list[str], list[str]]:
    """The first nine tenths of the characters, and the rest; the text on the border is cut."""
    left = int(sum(map(len, texts)) * (1 - HELD_OUT))
    for number, text in enumerate(texts):
        if len(text) >= left:
            return [*texts[:number], text[:left]], [text[left:], *texts[number + 1 :]]
        left -= len(text)
    return texts, []

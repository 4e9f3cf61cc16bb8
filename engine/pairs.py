"""Pairs and chats as one text to learn from, with the stretches that are learned kept apart from those that are read.

A training sheet's row has one of three shapes; each becomes a text in one of two layouts.

    {"text": …}                                    all of it is learned
    {"prompt": …, "completion": …, "system"?: …}   the completion is learned
    {"messages": [{"role": …, "content": …}, …]}   what the assistant says is learned

The layout PLAIN joins system, prompt and completion by an empty line; it is for models that continue a text. The layout
CHAT marks who speaks:

    <|system|>
    Answer in one word.
    <|user|>
    Capital of France?
    <|assistant|>
    Paris<|end|>

<|end|> is learned with the answer: it is how a model says that it has finished. A mark that stands in the data is
broken up ('<|' becomes '< |'), so that no row can speak in another's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Layout = Literal["plain", "chat"]
END = "<|end|>"
GAP = "\n\n"
IGNORE = -100  # what losses of the field leave out


@dataclass(frozen=True)
class Learned:
    """A row as one text; `spans` are the stretches [first, after last) of characters that are learned."""

    text: str
    spans: tuple[tuple[int, int], ...]


def lay_out(content: Mapping[str, Any], layout: Layout = "plain") -> Learned:
    """The text of a row. ValueError for content of none of the known shapes, or in which nothing is learned."""
    turns = _turns(content)
    if not any(role == "assistant" and said for role, said in turns):
        raise ValueError("the row has nothing to learn: its completion is empty")
    return _chat(turns) if layout == "chat" else _plain(turns)


def prompt_of(content: Mapping[str, Any], layout: Layout = "plain") -> str:
    """What a trained model is given to continue: the text up to the last stretch that would be learned."""
    laid = lay_out(content, layout)
    return laid.text[: laid.spans[-1][0]]


def completion_mask(offsets: Iterable[Sequence[int]], spans: Iterable[Sequence[int]]) -> np.ndarray:
    """Which tokens are learned: bool of shape (tokens,).

    `offsets` are each token's characters [first, after last), as tokenizers give them; (n, n) for one that stands for
    no text, which is never learned. A token that reaches from a prompt into a completion is learned: left out, the
    completion would lose its beginning.
    """
    table = np.asarray(list(offsets), dtype=np.int64).reshape(-1, 2)
    first, after = table[:, 0], table[:, 1]
    mask = np.zeros(len(table), dtype=bool)
    for start, end in spans:
        mask |= (first < end) & (after > start) & (after > first)
    return mask


def labels(ids: Sequence[int] | np.ndarray, mask: np.ndarray, ignore: int = IGNORE) -> np.ndarray:
    """Token ids as targets of a loss, int64 of shape (tokens,): `ignore` where nothing is learned.

    ValueError when ids and mask differ in length.
    """
    given = np.asarray(ids, dtype=np.int64)
    if given.shape != mask.shape:
        raise ValueError(f"{given.size} tokens and a mask of {mask.size}")
    return np.where(mask, given, ignore)


def _turns(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Who says what, in order: (system, user or assistant; text)."""
    if "messages" in content:
        return [(message["role"], message["content"]) for message in content["messages"]]
    if "text" in content:
        return [("assistant", content["text"])]
    if "completion" in content:
        before = [("system", content.get("system", "")), ("user", content.get("prompt", ""))]
        return [turn for turn in before if turn[1]] + [("assistant", content["completion"])]
    raise ValueError("the row is neither a text, nor a pair, nor a chat")


def _plain(turns: list[tuple[str, str]]) -> Learned:
    text, spans = "", []
    for role, said in turns:
        text += GAP if text else ""
        if role == "assistant":
            spans.append((len(text), len(text) + len(said)))
        text += said
    return Learned(text, tuple(spans))


def _chat(turns: list[tuple[str, str]]) -> Learned:
    text, spans = "", []
    for role, said in turns:
        text += f"<|{role}|>\n"
        said = said.replace("<|", "< |")
        if role == "assistant":
            spans.append((len(text), len(text) + len(said) + len(END)))
            text += f"{said}{END}\n"
        else:
            text += f"{said}\n"
    return Learned(text, tuple(spans))

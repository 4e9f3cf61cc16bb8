"""Text to numbers and back. Each vocabulary has an end token, which stands for no text: here a text or answer ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from engine.protocol import EngineError, FailureCode

Offsets = list[tuple[int, int]]  # the characters [first, after the last) of each token
PIECES = "tokenizer.json"
END_PIECE = "<|end|>"


class Tokenizer(Protocol):
    """A vocabulary at work."""

    size: int
    end: int

    def encode(self, text: str) -> torch.Tensor:
        """The tokens of a text, without an end token; EngineError BAD_DATA for what can't be said in them."""
        ...

    def spans(self, text: str) -> tuple[list[int], Offsets]:
        """The same, with the characters that each token stands for."""
        ...

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens; tokens that stand for no text are left out."""
        ...

    def description(self) -> dict[str, Any]:
        """What an artifact's config.json keeps of it."""
        ...

    def files(self) -> dict[str, bytes]:
        """What an artifact keeps of it beside that."""
        ...


class Bytes:
    """One token per byte of UTF-8."""

    size = 257
    end = 256

    def encode(self, text: str) -> torch.Tensor:
        return torch.frombuffer(bytearray(text.encode("utf-8")), dtype=torch.uint8).long() if text else _nothing()

    def spans(self, text: str) -> tuple[list[int], Offsets]:
        sizes = [len(character.encode("utf-8")) for character in text]
        offsets = [(place, place + 1) for place, size in enumerate(sizes) for _ in range(size)]
        return list(text.encode("utf-8")), offsets

    def decode(self, tokens: list[int]) -> str:
        return bytes(token for token in tokens if token != self.end).decode("utf-8", errors="replace")

    def description(self) -> dict[str, Any]:
        return {"tokenizer": "byte"}

    def files(self) -> dict[str, bytes]:
        return {}


class Characters:
    """One token per character of a fixed vocabulary."""

    def __init__(self, vocabulary: str) -> None:
        """`vocabulary` holds each character once, sorted by code point."""
        self.vocabulary = vocabulary
        self.end = len(vocabulary)
        self.size = len(vocabulary) + 1
        self._codes = _code_points(vocabulary)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Characters:
        """The vocabulary of some texts."""
        return cls("".join(sorted(set().union(*texts))))

    def encode(self, text: str) -> torch.Tensor:
        """The tokens of a text; EngineError BAD_DATA names characters that the model never saw."""
        codes = _code_points(text)
        places = np.searchsorted(self._codes, codes).clip(max=max(0, self.end - 1))
        unknown = self._codes[places] != codes
        if unknown.any():
            seen = "".join(sorted({chr(code) for code in codes[unknown]}))[:20]
            raise EngineError(
                FailureCode.BAD_DATA,
                f"The model does not know these characters: {seen!r}.",
                "Leave them out, or train with byte tokens, which know every character.",
            )
        return torch.from_numpy(places.astype(np.int64))

    def spans(self, text: str) -> tuple[list[int], Offsets]:
        return self.encode(text).tolist(), [(place, place + 1) for place in range(len(text))]

    def decode(self, tokens: list[int]) -> str:
        return "".join(self.vocabulary[token] for token in tokens if token != self.end)

    def description(self) -> dict[str, Any]:
        return {"tokenizer": "character", "vocabulary": self.vocabulary}

    def files(self) -> dict[str, bytes]:
        return {}


class Pieces:
    """Frequent pieces of words, over bytes: no character is unknown (byte-level BPE)."""

    def __init__(self, definition: str) -> None:
        """`definition` is the JSON of a `tokenizers.Tokenizer`, with the end token in it."""
        from tokenizers import Tokenizer as Definition

        self.definition = definition
        self._pieces = Definition.from_str(definition)
        self.size = self._pieces.get_vocab_size()
        self.end = self._pieces.token_to_id(END_PIECE)
        # What looks like the end token in a text is text.
        self._pieces.encode_special_tokens = True

    @classmethod
    def learned(cls, texts: Iterable[str], size: int) -> Pieces:
        """Learn at most `size` pieces; the same texts give the same pieces."""
        from tokenizers import Tokenizer as Definition
        from tokenizers import decoders, models, pre_tokenizers, trainers

        pieces = Definition(models.BPE())
        pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        pieces.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            special_tokens=[END_PIECE],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        pieces.train_from_iterator(texts, trainer)
        return cls(json.dumps(json.loads(pieces.to_str()), ensure_ascii=False, sort_keys=True))

    def encode(self, text: str) -> torch.Tensor:
        return torch.tensor(self._pieces.encode(text).ids, dtype=torch.long)

    def spans(self, text: str) -> tuple[list[int], Offsets]:
        found = self._pieces.encode(text)
        return found.ids, found.offsets

    def decode(self, tokens: list[int]) -> str:
        return self._pieces.decode([token for token in tokens if token != self.end])

    def description(self) -> dict[str, Any]:
        return {"tokenizer": "pieces"}

    def files(self) -> dict[str, bytes]:
        return {PIECES: self.definition.encode()}


@dataclass(frozen=True)
class Borrowed:
    """The tokenizer of a base model in Hugging Face format."""

    inner: Any  # a transformers fast tokenizer
    stored: dict[str, bytes]  # its files

    @property
    def size(self) -> int:
        return len(self.inner)

    @property
    def end(self) -> int:
        return self.inner.eos_token_id

    @property
    def template(self) -> bool:
        """Whether it prescribes how chats are written."""
        return bool(self.inner.chat_template)

    @cached_property
    def marks(self) -> frozenset[int]:
        """Tokens that no text is split into: they only mark something."""
        return frozenset(token for token, said in self.inner.added_tokens_decoder.items() if said.special)

    @cached_property
    def closing(self) -> int | None:
        """The mark by which the chat template ends an answer; None when it has none that can be found out."""
        if not self.template:
            return None
        turns = [{"role": "user", "content": "Question"}, {"role": "assistant", "content": "Answer"}]
        try:
            _, found, rest = self.inner.apply_chat_template(turns, tokenize=False).rpartition("Answer")
        except Exception:  # a template is a program of somebody else, and may refuse anything in any way
            return None
        after = self.spans(rest.lstrip(), marks=True)[0] if found else []
        return after[0] if after and after[0] in self.marks else None

    @property
    def start(self) -> list[int]:
        """What it puts before a text."""
        first = self.inner.bos_token_id
        return [first] if first is not None and self.inner("a").input_ids[:1] == [first] else []

    def encode(self, text: str) -> torch.Tensor:
        return torch.tensor(self.spans(text)[0], dtype=torch.long)

    def spans(self, text: str, marks: bool = False) -> tuple[list[int], Offsets]:
        """`marks`: special tokens that are written out in the text count as such."""
        found = self.inner(
            text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=not marks, verbose=False
        )
        return found["input_ids"], found["offset_mapping"]

    def decode(self, tokens: list[int]) -> str:
        return self.inner.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def description(self) -> dict[str, Any]:
        return {"tokenizer": "borrowed"}

    def files(self) -> dict[str, bytes]:
        return self.stored


def describe_back(facts: dict[str, Any], definition: str | None = None) -> Tokenizer:
    """The tokenizer that a `description` (and for pieces its file) came from."""
    if facts["tokenizer"] == "byte":
        return Bytes()
    if facts["tokenizer"] == "pieces":
        assert definition is not None
        return Pieces(definition)
    return Characters(facts["vocabulary"])


def _nothing() -> torch.Tensor:
    return torch.zeros(0, dtype=torch.long)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)

"""Text to numbers and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine.protocol import EngineError, FailureCode


class Bytes:
    """One token per byte of UTF-8."""

    size = 256

    def encode(self, text: str) -> torch.Tensor:
        return torch.frombuffer(bytearray(text.encode("utf-8")), dtype=torch.uint8).long()

    def decode(self, tokens: list[int]) -> str:
        return bytes(tokens).decode("utf-8", errors="replace")

    def description(self) -> dict[str, Any]:
        return {"tokenizer": "byte"}


class Characters:
    """One token per character of a fixed vocabulary."""

    def __init__(self, vocabulary: str) -> None:
        """`vocabulary` holds each character once, sorted by code point."""
        self.vocabulary = vocabulary
        self.size = len(vocabulary)
        self._codes = _code_points(vocabulary)

    @classmethod
    def of(cls, text: str) -> Characters:
        """The vocabulary of a text."""
        return cls("".join(sorted(set(text))))

    def encode(self, text: str) -> torch.Tensor:
        """The tokens of a text; EngineError BAD_DATA names characters that the model never saw."""
        codes = _code_points(text)
        places = np.searchsorted(self._codes, codes).clip(max=max(0, self.size - 1))
        unknown = self._codes[places] != codes
        if unknown.any():
            seen = "".join(sorted({chr(code) for code in codes[unknown]}))[:20]
            raise EngineError(
                FailureCode.BAD_DATA,
                f"The model does not know these characters: {seen!r}.",
                "Leave them out, or train with byte tokens, which know every character.",
            )
        return torch.from_numpy(places.astype(np.int64))

    def decode(self, tokens: list[int]) -> str:
        return "".join(self.vocabulary[token] for token in tokens)

    def description(self) -> dict[str, Any]:
        return {"tokenizer": "character", "vocabulary": self.vocabulary}


Tokenizer = Bytes | Characters


def describe_back(facts: dict[str, Any]) -> Tokenizer:
    """The tokenizer that a `description` came from."""
    return Bytes() if facts["tokenizer"] == "byte" else Characters(facts["vocabulary"])


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", errors="surrogatepass"), dtype=np.uint32)

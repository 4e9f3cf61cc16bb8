"""Texts as weighted features: words, runs of words and runs of letters, told apart by 63-bit hashes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

WORD = re.compile(r"\w+|[^\w\s]")
MASK = np.uint64(2**63 - 1)
PRIME = np.uint64(0x9E3779B97F4A7C15)
SHORTEST_RUN = 2  # letters
RARE = 2  # a feature in fewer texts than this is noise
CHARACTERS = 100_000  # of a text that are read
FEW = 200  # texts below which rare features are kept too


@dataclass(frozen=True)
class Counts:
    """How often each feature stands in a text; sorted by hash."""

    words: np.ndarray  # uint64 (features,)
    word_counts: np.ndarray  # float32 (features,)
    letters: np.ndarray
    letter_counts: np.ndarray


@dataclass(frozen=True)
class Vocabulary:
    """The features that a model knows: hashes in order, and how much each tells (its inverse document frequency)."""

    words: np.ndarray  # int64 (word features,)
    word_weights: np.ndarray  # float32
    letters: np.ndarray
    letter_weights: np.ndarray

    @property
    def size(self) -> int:
        return len(self.words) + len(self.letters)

    def tensors(self) -> dict[str, torch.Tensor]:
        """For a safetensors file."""
        return {name: torch.from_numpy(array.copy()) for name, array in self.__dict__.items()}

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor]) -> Vocabulary:
        return cls(*(tensors[name].numpy() for name in cls.__dataclass_fields__))


class Bags:
    """Texts as features: one row each of numbers and weights, as long as the text has features."""

    device = torch.device("cpu")  # they are small; batches travel

    def __init__(self, rows: list[tuple[np.ndarray, np.ndarray]]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: torch.Tensor | slice) -> Bags:
        if isinstance(which, slice):
            return Bags(self.rows[which])
        return Bags([self.rows[place] for place in which.tolist()])

    def padded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature numbers and weights, (texts, longest) each; weight 0 is padding."""
        longest = max(1, max(len(numbers) for numbers, _ in self.rows))
        numbers = torch.zeros(len(self.rows), longest, dtype=torch.long)
        weights = torch.zeros(len(self.rows), longest)
        for place, (known, weight) in enumerate(self.rows):
            numbers[place, : len(known)] = torch.from_numpy(known)
            weights[place, : len(weight)] = torch.from_numpy(weight)
        return numbers, weights


def count(text: str, words: int, letters: int, lower_case: bool) -> Counts:
    """The features of a text: runs of 1 to `words` words, and of 2 to `letters` letters."""
    text = text[:CHARACTERS]
    if lower_case:
        text = text.lower()
    tokens = WORD.findall(text)
    named = np.array([zlib.crc32(token.encode("utf-8", "surrogatepass")) for token in tokens], dtype=np.uint64)
    spelled = np.frombuffer(f" {' '.join(text.split())} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    return Counts(
        *_unique(_runs(named, range(1, words + 1))),
        *_unique(_runs(spelled.astype(np.uint64), range(SHORTEST_RUN, letters + 1))),
    )


def learn(counted: Sequence[Counts], most: int, breathe: Callable[[], None]) -> Vocabulary:
    """The most frequent features of the training texts; those of a single text are left out, unless texts are few."""
    rare = RARE if len(counted) >= FEW else 1
    chosen = []
    for hashes in ([one.words for one in counted], [one.letters for one in counted]):
        breathe()
        known, frequency = np.unique(np.concatenate(hashes), return_counts=True)
        kept = frequency >= rare
        known, frequency = known[kept], frequency[kept]
        if len(known) > most // 2:
            best = np.sort(np.argsort(-frequency, kind="stable")[: most // 2])
            known, frequency = known[best], frequency[best]
        inverse = np.log((1 + len(counted)) / (1 + frequency)) + 1
        chosen += [known.astype(np.int64), inverse.astype(np.float32)]
    return Vocabulary(*chosen)


def weigh(counted: Counts, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and weights of the known features: 1 + log(count), times what each tells, words and letters of length one
    each, so that neither drowns the other."""
    first = 0
    numbers, weights = [], []
    for hashes, counts, known, told in (
        (counted.words, counted.word_counts, vocabulary.words, vocabulary.word_weights),
        (counted.letters, counted.letter_counts, vocabulary.letters, vocabulary.letter_weights),
    ):
        if len(known) and len(hashes):
            signed = hashes.astype(np.int64)
            places = np.searchsorted(known, signed).clip(max=len(known) - 1)
            there = known[places] == signed
            found = (1 + np.log(counts[there])) * told[places[there]]
            length = np.linalg.norm(found)
            numbers.append(places[there] + first)
            weights.append((found / length if length else found).astype(np.float32))
        first += len(known)
    if not numbers:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    return np.concatenate(numbers).astype(np.int64), np.concatenate(weights)


def _runs(values: np.ndarray, lengths: range) -> np.ndarray:
    """Hashes of all runs of these lengths."""
    found = []
    for length in lengths:
        if len(values) < length:
            break
        whole = np.full(len(values) - length + 1, length, dtype=np.uint64)
        for place in range(length):
            whole = _mix(whole ^ values[place : len(values) - length + 1 + place])
        found.append(whole & MASK)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)


def _mix(values: np.ndarray) -> np.ndarray:
    """Spread the bits (as splitmix64 does); numbers wrap around."""
    values = values * PRIME
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return values ^ (values >> np.uint64(27))


def _unique(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known, counts = np.unique(hashes, return_counts=True)
    return known, counts.astype(np.float32)

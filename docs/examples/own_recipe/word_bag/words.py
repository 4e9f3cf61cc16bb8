"""A text as counts of its hashed words, the same in training and afterwards."""

from __future__ import annotations

import re
import zlib

import torch

WORD = re.compile(r"\w+")


def bag(text: str, places: int) -> torch.Tensor:
    """Square roots of counts, (places,)."""
    counts = torch.zeros(places)
    for word in WORD.findall(text.lower()):
        counts[zlib.crc32(word.encode()) % places] += 1
    return counts.sqrt()

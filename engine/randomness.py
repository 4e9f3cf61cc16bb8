"""Random numbers as a function of seed and position, so that resuming needs nothing but two integers."""

from __future__ import annotations

import torch

_MASK = 2**64 - 1


def mix(seed: int, position: int) -> int:
    """A well-spread 63-bit number for a seed and a position (splitmix64)."""
    z = (seed * 0x9E3779B97F4A7C15 + position + 0x632BE59BD9B4E019) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 1


class Dice:
    """A generator that is set to a position before use; setting it costs about a microsecond."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = torch.Generator()

    def at(self, position: int) -> torch.Generator:
        """The generator, at the beginning of this position's numbers."""
        return self._generator.manual_seed(mix(self._seed, position))

"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

from __future__ import annotations

import math


def warmup_then_cosine(step: int, total: int, peak: float, warmup: int, minimum_ratio: float) -> float:
    """The rate for step `step` (from 0): a linear rise over `warmup` steps, then a cosine down to
    `peak * minimum_ratio` at `total`."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    part = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (minimum_ratio + (1 - minimum_ratio) * 0.5 * (1 + math.cos(math.pi * part)))

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from engine.protocol import DataSpec, Spec
from tests.recipes.rows import rows_data

KINDS = {"fruit": "apple pear plum cherry grape", "tool": "bolt screw nail hammer saw"}
FILLERS = ["the", "a", "of", "in", "on", "is", "was", "with"]


def shopping(root: Path, count: int = 100) -> DataSpec:
    """Lists of words, a third of which tell what they are about."""
    dice = random.Random(0)
    names = sorted(KINDS)
    labels = [names[number % 2] for number in range(count)]
    said = [
        " ".join(dice.choice(KINDS[label].split() if dice.random() < 0.3 else FILLERS) for _ in range(12))
        for label in labels
    ]
    return rows_data(root, [{"text": text} for text in said], labels, lambda n: "train" if n % 3 else "validation")


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """Fruit or tool, by words and letters."""
    return Spec(
        job="1", recipe="text-classification", config={"epochs": 4, "batch_size": 16} | changes, seed=seed,
        data=shopping(root), work_dir=root / "work", device="cpu", threads=1,
    )  # fmt: skip

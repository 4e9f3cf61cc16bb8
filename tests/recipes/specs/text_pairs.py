from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.protocol import Spec
from tests.recipes.rows import rows_data
from tests.recipes.specs.text_fine_tuning import pairs

SMALL = {
    "tokenizer": "pieces", "vocabulary_size": 300, "packing": False, "layers": 1, "heads": 2, "width": 16, "steps": 20,
    "batch_size": 4, "accumulate": 2, "dropout": 0.1, "evaluate_every": 8, "sample_every": 10, "sample_length": 8,
}  # fmt: skip


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """A GPT from scratch learns to add one, from padded examples."""
    return Spec(
        job="1", recipe="text-generation", config=SMALL | changes, seed=seed, data=rows_data(root, pairs(60)),
        work_dir=root / "work", device="cpu", threads=1,
    )  # fmt: skip

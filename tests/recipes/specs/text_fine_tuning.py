from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.protocol import Spec
from tests.recipes.language_models import make_llama
from tests.recipes.rows import rows_data

SMALL = {
    "method": "lora", "lora_rank": 4, "lora_dropout": 0.1, "steps": 12, "batch_size": 4, "learning_rate": 5e-3,
    "warmup_steps": 2, "evaluate_every": 5, "sample_every": 6, "sample_length": 8, "block_size": 64,
}  # fmt: skip


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"Anna has {n} apples.", "completion": f"Answer: {n + 1}."} for n in range(count)]


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """A tiny Llama learns to add one, by LoRA."""
    base = root / "llama"
    if not base.exists():
        make_llama(base)
    return Spec(
        job="1", recipe="text-generation", config=SMALL | changes, seed=seed, data=rows_data(root, pairs(40)),
        base=base, work_dir=root / "work", device="cpu", threads=1,
    )  # fmt: skip

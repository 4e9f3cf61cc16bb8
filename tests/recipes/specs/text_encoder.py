from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.protocol import Spec
from tests.recipes.language_models import make_llama
from tests.recipes.specs.text_classification import shopping

SMALL = {"method": "lora", "lora_rank": 4, "epochs": 2, "batch_size": 16, "learning_rate": 5e-3}


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """Fruit or tool, by LoRA on a tiny Llama."""
    base = root / "llama"
    if not base.exists():
        make_llama(base)
    return Spec(
        job="1", recipe="text-classification", config=SMALL | changes, seed=seed, data=shopping(root), base=base,
        work_dir=root / "work", device="cpu", threads=1,
    )  # fmt: skip

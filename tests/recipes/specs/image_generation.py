from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.protocol import Spec
from tests.engine.cast import make_data, png
from tests.recipes.pipelines import make_pipeline

SMALL = {
    "steps": 12, "batch_size": 2, "rank": 2, "prompt": "a photo of sks dog", "sample_every": 5, "sample_steps": 2,
    "class_prompt": "a dog", "class_pictures": 2, "horizontal_flip": True, "learning_rate": 1e-3,
}  # fmt: skip


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """Five pictures of a red square on noise, one of them held out."""
    random = np.random.default_rng(3)
    files = []
    for number in range(5):
        pixels = random.integers(0, 255, (20, 24, 3))
        pixels[4:12, 6:14] = (250, 10, 10)
        files.append((f"{number}.png", None, "validation" if number == 4 else "train", png(pixels)))
    data = make_data(root, "image", files)
    base = root / "pipeline"
    if not base.exists():
        make_pipeline(base)
    work = root / "work"
    work.mkdir(exist_ok=True)
    return Spec(
        job="1", recipe="image-generation", config=SMALL | changes, seed=seed, data=data, base=base, work_dir=work,
        device="cpu", threads=1,
    )  # fmt: skip

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.protocol import Spec
from tests.engine import cast
from tests.recipes.sheets import sheet_data


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """Three classes by two numbers and a colour, with gaps."""
    random = np.random.default_rng(2)
    a, b = random.normal(size=(2, 150))
    colour = random.choice(["red", "green", "blue"], 150)
    label = np.where(a * b > 0, "up", np.where(colour == "red", "down", "level"))
    a[random.random(150) < 0.1] = np.nan
    data = sheet_data(root, {"a": a, "b": b, "colour": colour, "label": label})
    config = {"rounds": 80, "early_stopping_rounds": 30, "test_fraction": 0.15} | changes
    return cast.spec(root, "table-baseline", config, seed=seed, data=data)

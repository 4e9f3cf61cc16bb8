from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.protocol import Spec
from tests.engine import cast
from tests.recipes.sheets import sheet_data

SMALL = {
    "target": "all", "season": 7, "horizon": 4, "history": 14, "network_steps": 30, "width": 8, "batch_size": 16,
    "learning_rate": 0.01,
}  # fmt: skip


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """Two series of days with a week in them."""
    places = np.arange(150)
    noise = np.random.default_rng(2).normal(0, 0.3, (2, 150))
    week = np.sin(places * 2 * np.pi / 7)
    days = np.datetime64("2024-01-01", "us") + places.astype("timedelta64[D]")
    data = sheet_data(root, {"day": days, "a": week + noise[0], "b": 3 * week + 0.1 * places + noise[1]})
    return cast.spec(
        root, "forecast", SMALL | {"candidates": ["ets", "linear", "network"]} | changes, seed=seed, data=data
    )

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.protocol import Spec
from tests.engine import cast
from tests.recipes.sheets import sheet_data


def spec(root: Path, seed: int = 7, **changes: Any) -> Spec:
    """Two sensors by the hour."""
    values = np.random.default_rng(2).normal(size=(2, 600))
    hours = np.datetime64("2024-01-01", "us") + np.arange(600).astype("timedelta64[h]")
    data = sheet_data(root, {"at": hours, "heat": values[0], "noise": values[1] ** 2})
    return cast.spec(root, "anomaly", {"trees": 60, "candidate": "forest"} | changes, seed=seed, data=data)

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.protocol import Spec
from tests.engine import cast
from tests.engine.cast import digit_files, make_data
from tests.recipes.vision_models import vision_transformer

SMALL = {"epochs": 3, "batch_size": 8, "trained_part": "head-first"}


def spec(root: Path, **changes: Any) -> Spec:
    """A pretrained transformer that learns a few digits; its head first."""
    base = vision_transformer(root / "base")
    data = make_data(root, "image", digit_files(40))
    return cast.spec(root, "image-classification", SMALL, data=data, base=base, **changes)

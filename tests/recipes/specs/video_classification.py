from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.protocol import Spec
from tests.engine import cast
from tests.engine.cast import make_data
from tests.recipes.clips import films

SMALL = {"epochs": 5, "batch_size": 4, "width": 4, "depth": 2, "image_size": 16, "frames": 4}


def spec(root: Path, **changes: Any) -> Spec:
    """Eight short films of each of two directions."""
    return cast.spec(root, "video-classification", SMALL, data=make_data(root, "video", films(8)), **changes)

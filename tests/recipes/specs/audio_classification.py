from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.protocol import Spec
from tests.engine import cast
from tests.engine.cast import make_data
from tests.recipes.clips import recordings

SMALL = {"epochs": 6, "batch_size": 6, "width": 4, "depth": 2, "mels": 16}


def spec(root: Path, **changes: Any) -> Spec:
    """Twelve short tones of each of two classes."""
    return cast.spec(root, "audio-classification", SMALL, data=make_data(root, "audio", recordings(12)), **changes)

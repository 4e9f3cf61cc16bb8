"""Small real data sets that lie beside a developer's checkout; a checkout elsewhere has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.paths import PROJECT


def data(name: str) -> Path:
    """The folder of this set; skips the test, saying why, where it is not there."""
    folder = PROJECT.parent / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"the data set {name} is not beside this checkout")
    return folder

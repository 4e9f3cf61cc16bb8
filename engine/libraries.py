"""Which versions of its libraries a run was made with: another one may round otherwise, or draw other numbers."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

COMMON = ("numpy", "safetensors")  # of all recipes that train; torch and Python are told beside them


def versions(names: Iterable[str]) -> dict[str, str]:
    """The versions of the packages that are installed, by the names they are installed by. Nothing is loaded."""
    found = {}
    for name in sorted({*COMMON, *names}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

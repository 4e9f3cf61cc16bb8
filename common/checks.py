"""System checks: mistakes of an installation that would otherwise show late and far from their cause."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def datasets_is_ours(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """`datasets` is also the name of a library of Hugging Face; whichever comes first on the path wins."""
    spec = find_spec("datasets")
    place = Path(spec.origin).parent if spec and spec.origin else None
    if place == Path(settings.BASE_DIR) / "datasets":
        return []
    hint = "Start TrainHub from its own folder, and uninstall the package 'datasets' from its environment."
    return [Error(f"The name 'datasets' leads to {place}, not to TrainHub's app.", hint=hint, id="trainhub.E001")]


@register()
def python_is_patched(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Archives of strangers are read by `zipfile`; before these versions it could be fooled by overlaps."""
    enough = sys.version_info >= (3, 12, 2) or (3, 11, 4) <= sys.version_info < (3, 12)
    if enough:
        return []
    return [Error("This Python is too old to read archives safely.", hint="Use 3.11.4 or newer.", id="trainhub.E002")]

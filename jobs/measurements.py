"""What short trial runs measured, kept under TRAINHUB_HOME/measurements: a cache that may be deleted."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings


@dataclass(frozen=True)
class Found:
    """Seconds per unit of work (see `jobs.estimates.work_of`), and bytes of memory."""

    rate: float
    memory: int


def find(recipe: str, size: str, device: str, devices: int, base: str = "") -> Found | None:
    """What the latest trial of such a run found; None where there was none. `base` as `beginning` tells it."""
    try:
        return Found(**json.loads(_path(recipe, size, device, devices, base).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def exact(config: Mapping[str, Any], dataset: int) -> str:
    """In the place of a size: these very settings, and data of this dataset."""
    return json.dumps([dict(config), dataset], sort_keys=True, default=str)


def beginning(config: Mapping[str, Any], base_version: int | None) -> str:
    """What a run starts from, since it says how large the model is: a version, a model folder; '' from scratch."""
    if base_version is not None:
        return f"version {base_version}"
    return f"folder {config['base_model']}" if config.get("base_model") else ""


def keep(recipe: str, size: str, device: str, devices: int, found: Found, base: str = "") -> None:
    """Remember it, in the place of an earlier one."""
    path = _path(recipe, size, device, devices, base)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}")
    draft.write_text(json.dumps(asdict(found)), encoding="utf-8")
    draft.rename(path)


def folder() -> Path:
    """Where they lie."""
    return Path(settings.TRAINHUB_HOME) / "measurements"


def _path(recipe: str, size: str, device: str, devices: int, base: str) -> Path:
    key = (recipe, size, device, devices, *([base] if base else []))
    return folder() / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.json"

"""What a result says of the model that it started from, so that the same one is found again: name, path and SHA-256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from engine.protocol import EngineError, FailureCode

ROOTS = "TRAINHUB_MODEL_FOLDERS"


def reference(folder: Path) -> dict[str, Any]:
    """The base in this folder, as the artifact's config.json keeps it."""
    return {"name": folder.name, "path": str(folder.absolute()), "sha256": weights_digest(folder)}


def weights_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all weights below a folder; EngineError BAD_CONFIG when there are none."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The base model in '{folder.name}' has no safetensors weights.",
            "Choose a folder in Hugging Face format whose weights are *.safetensors; pickle files are never read.",
        )
    whole = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{digest}\n".encode())
    return whole.hexdigest()


def find(said: dict[str, Any], beside: Path) -> Path:
    """The folder of a reference: where it was, beside the folder that names it (versions lie side by side), or below a
    model folder. EngineError BAD_CONFIG when it is in none of these, or other weights are there now."""
    roots = [Path(root) for root in os.environ.get(ROOTS, "").split(":") if root]
    places = [Path(said["path"]), beside.parent / said["name"], *(root / said["name"] for root in roots)]
    there = [place for place in dict.fromkeys(places) if place.is_dir()]
    for place in there:
        if weights_digest(place) == said["sha256"]:
            return place
    wrong = "has other weights now" if there else "is not there any more"
    raise EngineError(
        FailureCode.BAD_CONFIG,
        f"The base model '{said['name']}' of this result {wrong}; the result holds only what was trained on top.",
        f"Put the folder back at {said['path']}, as it was when the result was trained.",
    )

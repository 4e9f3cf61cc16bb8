"""A base, an adapter and a head as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import lora
from engine.artifact import CONFIG
from engine.recipes.text_classification.encoder import from_artifact
from engine.task import json_bytes


def merge(folder: Path, facts: dict[str, Any]) -> dict[str, bytes]:
    """The weights with the adapter's matrices added, the tokenizer, and a config.json that says so."""
    encoder = from_artifact(folder, facts)
    lora.merge(encoder.model)
    encoder.adapter = None
    about = {name: value for name, value in facts.items() if name not in ("adapter", "head")}
    return encoder.files() | {CONFIG: json_bytes(about | encoder.facts() | {"merged": facts["adapter"]})}

"""A base and an adapter as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine import hugging_face, lora, state
from engine.artifact import CONFIG
from engine.recipes.text_generation.language import from_artifact
from engine.task import json_bytes


def merge(folder: Path, facts: dict[str, Any]) -> dict[str, bytes]:
    """The weights with the adapter's matrices added, the tokenizer, and a config.json that says so."""
    language = from_artifact(folder, facts)
    lora.merge(language.model)
    about = {name: value for name, value in facts.items() if name != "adapter"}
    about |= {"network": language.network, "tokens": language.tokenizer.description(), "merged": facts["adapter"]}
    weights = {state.MODEL: state.save(hugging_face.whole(language.model))}
    return weights | language.tokenizer.files() | {CONFIG: json_bytes(about)}

"""Small pretrained models in Hugging Face format, made here: nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine.hugging_face import library


def vision_transformer(folder: Path, classes: int = 5, side: int = 32, **changes: Any) -> Path:
    """A transformer for pictures of `side` pixels, with random weights, and its preprocessor."""
    transformers = library()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.ViTConfig(**sizes, image_size=side, patch_size=8, num_labels=classes, **changes)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.ViTForImageClassification(config).save_pretrained(folder)
    said = {"size": {"height": side, "width": side}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.2, 0.3]}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder

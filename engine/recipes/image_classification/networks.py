"""The network of a run: made by the sizes of the images, or started from a base model with a new head."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import hugging_face
from engine.artifact import load_weights, read_artifact
from engine.protocol import EngineError, FailureCode
from engine.recipes.image_classification.model import ResidualNetwork, Shape

KIND = "AutoModelForImageClassification"
PREPROCESSOR = "preprocessor_config.json"
HALF = [0.5, 0.5, 0.5]  # mean and deviation that most pretrained models have been trained with


@dataclass(frozen=True)
class Inputs:
    """What a pretrained network takes: a square of so many pixels, each channel less its mean, by its deviation."""

    size: int
    channels: int
    mean: list[float]
    deviation: list[float]


@dataclass(frozen=True)
class Base:
    """A model to start from. `facts` make its network again, as `opened` does."""

    network: nn.Module
    inputs: Inputs
    facts: dict[str, Any]
    head: set[str]  # names of the parameters behind the features, which are learned anew


class Pretrained(nn.Module):
    """Normalised images (batch, channels, size, size) → logits (batch, classes), by a network of transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=x).logits


def opened(facts: dict[str, Any], dropout: float = 0.0) -> nn.Module:
    """The network that an artifact's config.json describes, its weights still to be filled in."""
    if "network" in facts:
        return Pretrained(hugging_face.made(KIND, facts["network"]))
    return ResidualNetwork(Shape(**facts["shape"]), dropout)


def started(folder: Path, classes: list[str], dropout: float) -> Base:
    """A network with the weights of a base: a folder in Hugging Face format, or a result of this recipe. EngineError
    BAD_CONFIG when it is neither."""
    said = hugging_face.facts_of(folder)
    if "format" in said:
        return _from_result(folder, classes, dropout)
    network = hugging_face.load(KIND, folder, num_labels=len(classes))
    body = f"{network.base_model_prefix}."
    head = {f"network.{name}" for name, _ in network.named_parameters() if not name.startswith(body)}
    network.config.id2label = dict(enumerate(classes))
    network.config.label2id = {name: number for number, name in enumerate(classes)}
    return Base(Pretrained(network), _inputs(folder, network), {"network": hugging_face.described(network)}, head)


def _from_result(folder: Path, classes: list[str], dropout: float) -> Base:
    """A result of this recipe goes on learning; with other classes its head is made anew."""
    facts = read_artifact(folder, "image-classification")
    old = opened(facts)
    load_weights(folder, old, "cpu")
    network = old
    if facts["classes"] != classes:
        network = opened(_with_classes(facts, len(classes)), dropout)
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        kept = {name: tensor for name, tensor in old.state_dict().items() if tensor.shape == shapes.get(name)}
        network.load_state_dict({name: tensor for name, tensor in kept.items() if not _is_head(name)}, strict=False)
    elif isinstance(network, ResidualNetwork):
        network.dropout.p = dropout
    network.train()
    size, channels = facts["input"]["size"], len(facts["input"]["mean"])
    inputs = Inputs(size, channels, facts["input"]["mean"], facts["input"]["deviation"])
    head = {name for name, _ in network.named_parameters() if _is_head(name)}
    made = {key: value for key, value in _with_classes(facts, len(classes)).items() if key in ("network", "shape")}
    return Base(network, inputs, made, head)


def _is_head(name: str) -> bool:
    return name.removeprefix("network.").startswith(("head.", "classifier.", "distillation_classifier.", "fc."))


def _with_classes(facts: dict[str, Any], classes: int) -> dict[str, Any]:
    if "shape" in facts:
        return {"shape": facts["shape"] | {"classes": classes}}
    names = {str(number): str(number) for number in range(classes)}
    labels = {"id2label": names, "label2id": {name: int(number) for number, name in names.items()}}
    return {"network": facts["network"] | labels}


def _inputs(folder: Path, network: nn.Module) -> Inputs:
    """What the folder's preprocessor says, or else the network's configuration."""
    try:
        said = json.loads((folder / PREPROCESSOR).read_bytes())
    except FileNotFoundError:
        said = {}
    except (OSError, ValueError) as error:
        reason = f"its {PREPROCESSOR} can't be read ({hugging_face.first_line(error)})"
        raise hugging_face.unusable(folder.name, reason, "Copy the whole folder again.") from error
    config: Any = network.config
    size = _side(said.get("crop_size")) or _side(said.get("size")) or _side(getattr(config, "image_size", None)) or 224
    channels = int(getattr(config, "num_channels", 3))
    plain = said.get("do_normalize", True) is False
    mean = [0.0] * channels if plain else said.get("image_mean") or HALF[:channels]
    deviation = [1.0] * channels if plain else said.get("image_std") or HALF[:channels]
    if channels not in (1, 3) or len(mean) != channels or not 8 <= size <= 1024:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The base model '{folder.name}' takes pictures of {size} pixels in {channels} channels.",
            "Choose a model for grey or colour pictures of 8 to 1,024 pixels.",
        )
    return Inputs(size, channels, [float(value) for value in mean], [float(value) for value in deviation])


def _side(said: Any) -> int | None:
    """One side of a size, in the ways that preprocessors write it."""
    if isinstance(said, dict):
        said = said.get("height") or said.get("shortest_edge")
    if isinstance(said, list | tuple):
        said = said[0] if said else None
    return int(said) if isinstance(said, int | float) else None

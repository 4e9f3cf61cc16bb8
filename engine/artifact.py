"""The files of a result: `model.safetensors`, and `config.json` with everything else a predictor needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from engine import state
from engine.data import Dataset
from engine.protocol import EngineError, FailureCode
from engine.task import Context, json_bytes

FORMAT = 1
CONFIG = "config.json"
METRICS = "metrics.json"


def make_artifact(
    context: Context, model: torch.nn.Module, about: dict[str, Any], dataset: Dataset, metrics: dict[str, Any]
) -> dict[str, bytes]:
    """The files of a result. `about` is what the recipe's predictor needs beside the weights."""
    return {state.MODEL: state.weights(model), **describe(context, about, dataset, metrics)}


def describe(context: Context, about: dict[str, Any], dataset: Dataset, metrics: dict[str, Any]) -> dict[str, bytes]:
    """The files of a result beside its weights, for recipes that keep these in a way of their own."""
    facts = {
        "format": FORMAT,
        "recipe": context.spec.recipe,
        "config": context.config.model_dump(),
        "seed": context.spec.seed,
        "dataset": dataset.content_hash,
        "torch": torch.__version__,
        **about,
    }
    return {CONFIG: json_bytes(facts), METRICS: json_bytes(metrics)}


def read_artifact(folder: Path, recipe: str) -> dict[str, Any]:
    """What `config.json` says; EngineError BAD_CONFIG when it isn't a result of this recipe."""
    try:
        facts = json.loads((folder / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(f"{CONFIG} can't be read: {error}") from error
    if facts.get("format") != FORMAT or facts.get("recipe") != recipe:
        raise _unusable(f"it holds {facts.get('recipe')} in format {facts.get('format')}, not {recipe} in {FORMAT}")
    return facts


def load_weights(folder: Path, model: torch.nn.Module, device: str | torch.device) -> None:
    """Put an artifact's weights into a model, move it to the device and make it ready to predict."""
    try:
        model.load_state_dict(state.load((folder / state.MODEL).read_bytes()))
    except (OSError, RuntimeError, ValueError, state.SafetensorError) as error:
        raise _unusable(f"{state.MODEL} can't be loaded: {error}") from error
    model.to(device).eval()


def _unusable(reason: str) -> EngineError:
    return EngineError(FailureCode.BAD_CONFIG, f"The model's files can't be used: {reason}.", "Train the model again.")

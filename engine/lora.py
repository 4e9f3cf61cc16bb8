"""LoRA: small trained matrices beside the frozen weights of a network (Hu et al., 2021), in PEFT's file format."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine import eager, state
from engine.protocol import EngineError, FailureCode
from engine.task import json_bytes

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"
NAME = "default"
PREFIX = "base_model.model."  # of the names in PEFT's files


def settings_for(
    model: nn.Module, rank: int, alpha: float, dropout: float, targets: str, leave: Sequence[str] = ()
) -> dict[str, Any]:
    """What `attach` needs. `targets` 'auto': all linear layers but the output layer and those whose weights are
    named in `leave`; EngineError BAD_CONFIG for ends of names that no layer has."""
    layers = [name for name in _linear_layers(model) if f"{name}.weight" not in leave]
    if targets == "auto":
        ends = sorted({name.rpartition(".")[2] for name in layers})
    else:
        ends = sorted({end.strip() for end in targets.split(",") if end.strip()})
        unknown = [end for end in ends if not any(re.search(rf"(^|\.){re.escape(end)}$", name) for name in layers)]
        if unknown or not ends:
            known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"No linear layer is called '{', '.join(unknown) or targets}'.",
                f"LoRA targets of this network are: {known}; or write auto.",
            )
    settings = {"rank": rank, "alpha": alpha, "dropout": dropout, "targets": ends}
    # Layers that are left alone may share the end of their name with others: the dense layers of RoBERTa and its head.
    alone = [name for name in _matrix_layers(model) if name not in layers and name.rpartition(".")[2] in ends]
    return settings | ({"exclude": alone} if alone else {})


def attach(model: nn.Module, settings: dict[str, Any]) -> None:
    """Put fresh matrices beside the weights, which are frozen from now on; they change nothing yet."""
    eager.use_compiler()  # which the library looks into
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules=settings["targets"],
        exclude_modules=settings.get("exclude"),
    )
    inject_adapter_in_model(config, model, NAME)


def files(
    model: nn.Module, settings: dict[str, Any], base: dict[str, Any], task: str = "CAUSAL_LM"
) -> dict[str, bytes]:
    """The adapter alone, as PEFT reads it too."""
    described = {
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": base["path"],
        "r": settings["rank"],
        "lora_alpha": settings["alpha"],
        "lora_dropout": settings["dropout"],
        "target_modules": settings["targets"],
        "exclude_modules": settings.get("exclude"),
        "bias": "none",
        "fan_in_fan_out": any(type(module).__name__ == "Conv1D" for module in model.modules()),
        "inference_mode": True,
    }
    weights = {_outside(name): tensor.detach().cpu().contiguous() for name, tensor in _matrices(model)}
    return {WEIGHTS: state.save(weights), SETTINGS: json_bytes(described)}


def load(model: nn.Module, folder: Path) -> None:
    """Put an adapter's file into matrices that `attach` made; EngineError BAD_CONFIG when they don't fit."""
    try:
        found = state.load((folder / WEIGHTS).read_bytes())
        matrices = dict(_matrices(model))
        if {_outside(name) for name in matrices} != found.keys():
            raise ValueError("it belongs to another network")
        with torch.no_grad():
            for name, tensor in matrices.items():
                tensor.copy_(found[_outside(name)])
    except (OSError, RuntimeError, ValueError, state.SafetensorError) as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"The model's files can't be used: {WEIGHTS}: {error}.", "Train the model again."
        ) from error


def merge(model: nn.Module) -> None:
    """Add the matrices to the weights beside them, and take them away."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    for parameter in model.parameters():
        parameter.requires_grad_(True)


def _linear_layers(model: nn.Module) -> list[str]:
    """Names of the layers that multiply by a matrix, the output layer left out."""
    output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [name for name, module in _matrix_layers(model).items() if module is not output]


def _matrix_layers(model: nn.Module) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    }


def _matrices(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if ".lora_" in name]


def _outside(name: str) -> str:
    """A matrix's name in the file."""
    return PREFIX + name.replace(f".{NAME}.", ".")

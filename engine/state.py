"""Model, optimizer, scaler and random states as bytes and back, without pickle: safetensors and JSON."""

from __future__ import annotations

import json
import random
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from engine.task import json_bytes

__all__ = ["MODEL", "SafetensorError", "Weighted", "load", "pack", "save", "unpack", "weights"]

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
OTHER = "state.json"


class Weighted(Protocol):
    """A model, or as much of one as changes."""

    def state_dict(self) -> dict[str, torch.Tensor]: ...

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> Any: ...


def pack_random() -> bytes:
    """torch's random states in this process."""
    return save(_torch_states())


def pack(
    model: Weighted,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    random_states: list[bytes],
    parts: dict[str, int] | None = None,
) -> dict[str, bytes]:
    """Everything that changes during training; `random_states` is `pack_random` of each process, by rank. `parts`
    as `engine.fitting.Fitting` keeps them."""
    tensors, numbers = _flatten(optimizer.state_dict())
    other = {
        "optimizer": numbers,
        "scaler": scaler.state_dict(),
        "python": random.getstate(),
        "numpy": _numpy_state(),
    }
    if parts:
        other["parts"] = parts
    return {
        MODEL: weights(model),
        OPTIMIZER: save(tensors),
        **{_random_file(rank): states for rank, states in enumerate(random_states)},
        OTHER: json_bytes(other),
    }


def unpack(
    files: dict[str, bytes],
    model: Weighted,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rank: int = 0,
) -> dict[str, int]:
    """Put everything back that `pack` saved, but for the parts, which are returned. A process that the run did not
    have when it was saved keeps its own random states."""
    model.load_state_dict(load(files[MODEL]))
    other = json.loads(files[OTHER])
    optimizer.load_state_dict(_unflatten(load(files[OPTIMIZER]), other["optimizer"]))
    _keep_memory_format(optimizer)
    scaler.load_state_dict(other["scaler"])
    version, numbers, gauss = other["python"]
    random.setstate((version, tuple(numbers), gauss))
    _set_numpy_state(other["numpy"])
    if (states := files.get(_random_file(rank))) is not None:
        _set_torch_states(load(states))
    return other.get("parts", {})


def weights(model: Weighted) -> bytes:
    """The model's tensors as a safetensors file; the same weights give the same bytes."""
    return save({name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()})


def _random_file(rank: int) -> str:
    return f"random-{rank}.safetensors" if rank else RANDOM


def _flatten(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors, and the rest as numbers."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {"groups": state["param_groups"], "state": {}}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                numbers["state"][f"{index}.{name}"] = value
    return tensors, numbers


def _unflatten(tensors: dict[str, torch.Tensor], numbers: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **numbers["state"]}.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": numbers["groups"]}


def _keep_memory_format(optimizer: torch.optim.Optimizer) -> None:
    """Lay the loaded tensors out as their weights are: another layout may round in another order."""
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _torch_states() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states |= {f"cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _set_torch_states(states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    cuda = [name for name in states if name.startswith("cuda.")]
    # A run may go on where other devices are visible; exactness is promised on the same ones only.
    for index in range(min(len(cuda), torch.cuda.device_count())):
        torch.cuda.set_rng_state(states[f"cuda.{index}"], index)


def _numpy_state() -> list[Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return [kind, keys.tolist(), position, has_gauss, gauss]


def _set_numpy_state(state: list[Any]) -> None:
    kind, keys, position, has_gauss, gauss = state
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, gauss))

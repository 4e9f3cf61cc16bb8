"""When memory runs out: how that is recognised, and which settings to change. Light, for whoever shows settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from engine.config import RecipeConfig
from engine.protocol import EngineError, FailureCode

# Settings that decide how much memory a step takes, in the order in which they are worth changing.
CURES = (
    "batch_size", "accumulate", "block_size", "max_length", "image_size", "resolution", "width", "layers", "depth",
)  # fmt: skip
# What a model takes before any batch; its own method, where it has one, saves most.
CURES_OF_MODELS = ("method", "trained_part", "width", "layers", "depth", "block_size")
WORDS = {
    "method": "set '{}' to lora", "trained_part": "set '{}' to head", "accumulate": "set '{}' to auto",
}  # fmt: skip
MOST_NAMED = 3
# What torch says where it has no class for it: its CPU allocator, on Windows too, and the libraries of a GPU.
SIGNS = ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def ran_out(error: BaseException) -> bool:
    """Whether an exception means that memory, of the machine or of a device, did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def cure(settings: type[RecipeConfig], config: Mapping[str, Any] | None = None, names: Iterable[str] = CURES) -> str:
    """Which settings to change so that less memory is needed: "Lower 'Batch size' or …"; '' where none would help.
    `config` is as far as it is known: what it already has as advised is not named."""
    known = config or {}
    changes = []
    for name in names:
        if name not in settings.model_fields:
            continue
        advised = WORDS.get(name, "lower '{}'")
        value = known.get(name, settings.model_fields[name].default)
        if name in WORDS and (value == advised.rpartition(" ")[2] or (name == "method" and value == "qlora")):
            continue
        changes.append(advised.format(settings.model_fields[name].title))
    if not changes:
        return ""
    *most, last = changes[:MOST_NAMED]
    text = f"{', '.join(most)} or {last}" if most else last
    return f"{text[:1].upper()}{text[1:]}, or use a device with more memory."


def exhausted(config: RecipeConfig, message: str, names: Iterable[str] = CURES) -> EngineError:
    """The failure of a run that needs more memory than there is."""
    hint = cure(type(config), config.model_dump(mode="json"), names)
    return EngineError(FailureCode.OUT_OF_MEMORY, message, hint or "Use a smaller model, or a device with more memory.")

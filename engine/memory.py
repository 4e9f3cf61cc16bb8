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
# What decides how large a model is before it sees a batch: from scratch, and of a base.
CURES_OF_SIZE = ("width", "layers", "depth")
CURES_OF_BASES = ("method", "trained_part", "base_model")
# What is advised of settings that are not lowered, and the values that have nothing left to gain.
WORDS = {
    "method": ("set '{}' to lora", ("lora", "qlora")),
    "trained_part": ("set '{}' to head", ("head",)),
    "accumulate": ("set '{}' to auto", ("auto",)),
    "base_model": ("choose a smaller '{}'", ()),
}
MOST_NAMED = 3
LAST_RESORT = "use a device with more memory."
# What torch says where it has no class for it: its CPU allocator, on Windows too, and the libraries of a GPU.
SIGNS = ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def ran_out(error: BaseException) -> bool:
    """Whether an exception means that memory, of the machine or of a device, did not suffice."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def cures(
    settings: type[RecipeConfig], config: Mapping[str, Any] | None = None, names: Iterable[str] = CURES
) -> dict[str, str]:
    """Which settings to change so that less memory is needed, each with what to do: {"width": "lower 'Width'"}.
    `config` is as far as it is known: a setting that has the value already is left out."""
    known = config or {}
    found = {}
    for name in names:
        if (field := settings.model_fields.get(name)) is None:
            continue
        words, done = WORDS.get(name, ("lower '{}'", ()))
        if known.get(name, field.default) not in done:
            found[name] = words.format(field.title)
    return found


def cure(settings: type[RecipeConfig], config: Mapping[str, Any] | None = None, names: Iterable[str] = CURES) -> str:
    """The same as a sentence: "Lower 'Batch size' or …"; '' where none would help."""
    changes = list(cures(settings, config, names).values())[:MOST_NAMED]
    if not changes:
        return ""
    *most, last = changes
    text = f"{', '.join(most)} or {last}" if most else last
    return f"{text[:1].upper()}{text[1:]}, or {LAST_RESORT}"


def exhausted(config: RecipeConfig, message: str, names: Iterable[str] = CURES) -> EngineError:
    """The failure of a run that needs more memory than there is."""
    hint = cure(type(config), config.model_dump(mode="json"), names)
    return EngineError(FailureCode.OUT_OF_MEMORY, message, hint or f"Use a smaller model, or {LAST_RESORT}")

"""How many numbers a model folder holds, by the headers of its safetensors files: no weight is read, nothing heavy is
loaded. What is said is at most what a run loads, so that nobody is told of memory that is not needed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2}  # bytes of a number; what is packed smaller is not counted
MOST_HEADER = 100 << 20  # bytes; what a damaged file claims is not believed
# Output layers, which many networks share with their input or a run makes anew; tables that are no weights.
LEFT_OUT = re.compile(
    r"(^|\.)(lm_head|embed_out|score|classifier|pre_classifier|pooler|cls|qa_outputs|predictions)\."
    r"|\.attn\.(bias|masked_bias)$|inv_freq$|position_ids$"
)
NAMES = ("model.safetensors", "diffusion_pytorch_model.safetensors")
PARTS = ("unet", "vae", "text_encoder")  # of a pipeline: what its training holds
SEVERAL = ("text_config", "vision_config", "audio_config")  # networks in one folder, of which a run may take one


@dataclass(frozen=True)
class Held:
    """Numbers of a model, and their bytes as they are stored."""

    numbers: int
    bytes: int


def held(folder: Path) -> Held | None:
    """What a run that starts from this folder loads at the least; None where that can't be said."""
    try:
        if (folder / "model_index.json").exists():
            parts = [_of_files(folder / part) for part in PARTS]
        elif any(name in json.loads((folder / "config.json").read_bytes()) for name in SEVERAL):
            return None
        else:
            parts = [_of_files(folder)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Held(sum(part.numbers for part in parts), sum(part.bytes for part in parts))


def _of_files(folder: Path) -> Held:
    numbers = stored = 0
    for path in _files(folder):
        for name, tensor in _header(path).items():
            if name != "__metadata__" and tensor["dtype"] in SIZES and not LEFT_OUT.search(name):
                count = math.prod(tensor["shape"])
                numbers, stored = numbers + count, stored + count * SIZES[tensor["dtype"]]
    return Held(numbers, stored)


def _files(folder: Path) -> Iterator[Path]:
    """Those that libraries read: a folder may hold the same weights in another format too."""
    for name in NAMES:
        if (folder / f"{name}.index.json").exists():
            said = json.loads((folder / f"{name}.index.json").read_bytes())["weight_map"]
            yield from (folder / part for part in sorted(set(said.values())))
            return
        if (folder / name).exists():
            yield folder / name
            return


def _header(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > MOST_HEADER:
            raise ValueError("its header is too long to be one")
        return json.loads(file.read(size))

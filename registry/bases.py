"""Folders with models to start from: what lies below the roots of TRAINHUB_MODEL_FOLDERS, by its path relative to one.

A base is a folder in Hugging Face format: `config.json` beside `*.safetensors`, or a pipeline's `model_index.json`
above such folders. Weights in pickle files could run code when they are read, so a folder that has only those is none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from common.errors import InvalidInputError

WEIGHTS = ".safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
TOKENIZERS = {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model"}
WRITERS = ("ForCausalLM", "LMHeadModel")  # what networks are called that go on writing
DEEPEST = 6  # folders below a root
MOST = 500


# What recipes start from, in words.
WORDS = {
    "language": "a language model with its tokenizer",
    "writer": "a language model that goes on writing (a causal one), with its tokenizer",
    "pictures": "a network for pictures",
    "pipeline": "a pipeline that makes pictures (model_index.json)",
}


@dataclass(frozen=True)
class Base:
    """A model to start from. `kind` is what its configuration calls itself, such as 'llama'."""

    name: str
    folder: Path
    kind: str
    bytes: int
    holds: frozenset[str] = frozenset()  # of engine.recipe.BaseHolds, as far as its files say
    refused: str = ""  # why it can't be used; '' when it can

    def suits(self, holds: str | None) -> bool:
        """Whether a recipe that starts from such models can start from it, as far as its files say."""
        return holds in self.holds or (holds != "pipeline" and not self.holds)


def roots() -> list[Path]:
    """The folders below which models are looked for; the first one takes in what is downloaded."""
    return [Path(path).resolve() for path in settings.TRAINHUB_MODEL_FOLDERS]


def listed(holds: str | None = None) -> list[Base]:
    """The usable bases by name; with `holds` those that suit a recipe that starts from such models. Of two with one
    name the earlier root's counts."""
    return [base for base in _found().values() if not base.refused and (holds is None or base.suits(holds))]


def find(name: str, holds: str | None = None) -> Base:
    """The base of this name; InvalidInputError, for the setting base_model, says what there is instead. With `holds` it
    must suit a recipe that starts from such models."""
    found = _found()
    base = found.get(name)
    wrong = base.refused if base else "is not there"
    if base is not None and not wrong and holds is not None and not base.suits(holds):
        wrong = f"is {base.kind or 'another model'}, and this recipe starts from {WORDS[holds]}"
    if base is not None and not wrong:
        return base
    usable = [other for other, known in found.items() if not known.refused and (holds is None or known.suits(holds))]
    there = f"There are: {', '.join(usable[:20])}." if usable else "There is none yet."
    where = ", ".join(str(root) for root in roots()) or "none"
    message = f"The base model '{name}' {wrong}. {there}"
    hint = f"Put a folder in Hugging Face format with safetensors weights below a model folder of the hub ({where})."
    raise InvalidInputError(message, hint, fields={"config.base_model": [message]})


def _found() -> dict[str, Base]:
    found: dict[str, Base] = {}
    for root in roots():
        for folder in _folders(root, root, 0):
            base = _base(root, folder)
            if base and base.name not in found:
                found[base.name] = base
            if len(found) >= MOST:
                return found
    return dict(sorted(found.items()))


def _folders(root: Path, folder: Path, depth: int) -> Iterator[Path]:
    """Folders with a configuration, outermost first; nothing below one is looked at. No link is followed."""
    try:
        with os.scandir(folder) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    if depth and any(entry.name in ("config.json", "model_index.json") for entry in inside):
        yield folder
        return
    for entry in inside:
        if depth < DEEPEST and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from _folders(root, Path(entry.path), depth + 1)


def _base(root: Path, folder: Path) -> Base | None:
    files = list(_files(folder, deep=(folder / "model_index.json").exists()))
    weights = [path for path in files if path.suffix == WEIGHTS]
    refused = ""
    if outside := [path for path in files if not path.resolve().is_relative_to(root)]:
        refused = f"holds a link that leads out of the model folder: {outside[0].name}"
    elif not weights and any(path.suffix in PICKLES for path in files):
        refused = "has its weights in pickle files only, which can run code: save them as safetensors"
    elif not weights:
        return None
    size = 0 if refused else sum(path.stat().st_size for path in weights)
    said = _said(folder)
    kind = str(said.get("model_type") or said.get("_class_name") or "")
    return Base(
        folder.relative_to(root).as_posix(), folder, kind, size, _holds(said, {path.name for path in files}), refused
    )


def _said(folder: Path) -> dict[str, Any]:
    """What a folder says of its model; nothing when that can't be read, which is told where it is started from."""
    for name in ("config.json", "model_index.json"):
        try:
            said = json.loads((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(said, dict):
            return said
    return {}


def _holds(said: dict[str, Any], names: set[str]) -> frozenset[str]:
    """What kinds of model these are, by what is in the folder; none when that says nothing."""
    if "_class_name" in said:
        return frozenset({"pipeline"})
    made = [name for name in said.get("architectures") or [] if isinstance(name, str)]
    found = set()
    if names & TOKENIZERS:
        found.add("language")
        if not made or any(name.endswith(WRITERS) for name in made):
            found.add("writer")
    if {"image_size", "num_channels"} & said.keys() or any(name.endswith("ForImageClassification") for name in made):
        found.add("pictures")
    return frozenset(found)


def _files(folder: Path, deep: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path
        elif deep and path.is_dir() and not path.is_symlink():
            yield from _files(path, deep=False)

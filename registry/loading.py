"""What the model server is told to load, and what becomes of a version whose bytes it found to be others."""

from __future__ import annotations

import time

from common.background import enqueue
from engine.protocol import EngineError, FailureCode
from engine.serving.orders import Order
from registry import integrity
from registry.artifacts import below, folder_of, with_bases
from registry.models import ModelVersion

KEY = "version-"  # before its id: what the model server knows a version by
FIND_DAMAGE = "registry.tasks.find_damage"
AGAIN_SECONDS = 30.0  # a process asks for the same version to be looked through this often at most
_asked: dict[int, float] = {}


def order_of(version: ModelVersion) -> Order:
    """What the model server must know to load a version; its files are laid out on the way. Those of the versions below
    it are checked at each load, too: an adapter on another base would answer, and wrongly."""
    folder = with_bases(version)
    checksums = {entry["name"]: entry["sha256"] for entry in version.artifact}
    for base in below(version):
        checksums |= {f"../{folder_of(base).name}/{entry['name']}": entry["sha256"] for entry in base.artifact}
    return Order(f"{KEY}{version.pk}", str(folder.absolute()), version.model.recipe, checksums, version.byte_count)


def note_refusal(version: ModelVersion, error: EngineError) -> None:
    """Mark a version that could not be loaded because of its bytes. Of one that lies on others it is found out in the
    background whose they are: that means reading all of them."""
    if error.code != FailureCode.DAMAGED:
        return
    if not any(True for _ in below(version)):
        integrity.note_damage(version, error.message)
    elif time.monotonic() - _asked.get(version.pk, -AGAIN_SECONDS) >= AGAIN_SECONDS:
        _asked[version.pk] = time.monotonic()
        enqueue(FIND_DAMAGE, version.pk)


def find_damage(version: ModelVersion) -> list[ModelVersion]:
    """Read a version's files and those of all below it; mark, and return, the ones whose bytes are others."""
    found = []
    for one in (version, *below(version)):
        if wrong := integrity.problems(one) or integrity.problems_laid_out(one):
            integrity.note_damage(one, " ".join(wrong))
            found.append(one)
    return found

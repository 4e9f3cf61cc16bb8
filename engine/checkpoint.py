"""Checkpoints: folders `checkpoints/step-00000100/` with a manifest that gives the SHA-256 of each file.

safetensors doesn't notice a flipped bit, so nothing is used before its hash was compared. The bytes that
were hashed are the bytes that are handed out: nothing can change in between.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.events import Sink
from engine.files import remove_folder, remove_leftovers, sha256, write_folder
from engine.protocol import EngineError, Event, FailureCode, Spec

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and found whole."""

    step: int
    name: str
    progress: dict[str, Any]  # the loop's own state
    files: dict[str, bytes]  # the task's state


class BrokenCheckpoint(Exception):
    """Why a checkpoint can't be used."""


def fingerprint(spec: Spec) -> str:
    """What a run is a function of. A checkpoint of another run must never be taken for ours."""
    data = hashlib.sha256()
    if spec.data is not None and spec.data.manifest.exists():
        data.update(spec.data.manifest.read_bytes())
    facts = {"recipe": spec.recipe, "config": spec.config, "seed": spec.seed, "data": data.hexdigest()}
    if spec.base is not None:
        # By the sizes: reading all weights would make every start wait, and the path differs between machines.
        weights = sorted(spec.base.rglob("*.safetensors"))
        facts["base"] = [[path.relative_to(spec.base).as_posix(), path.stat().st_size] for path in weights]
    return sha256(json.dumps(facts, sort_keys=True).encode())


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Path, keep: int, run: str, sink: Sink, *, reads_only: bool = False) -> None:
        """`run` is the fingerprint of the run that these belong to; `keep` newest ones are kept. Of several
        processes one owns the folder, and the others read only."""
        self._folder = folder
        self._keep = max(1, keep)
        self._run = run
        self._sink = sink
        if not reads_only:
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)

    def save(self, step: int, progress: dict[str, Any], files: dict[str, bytes]) -> None:
        """Write a checkpoint and drop the oldest. EngineError DISK_FULL leaves the earlier ones valid."""
        begun = time.monotonic()
        target = self._at(step)
        manifest = {
            "format": FORMAT,
            "run": self._run,
            "step": step,
            "progress": progress,
            "files": {n: {"sha256": sha256(data), "bytes": len(data)} for n, data in files.items()},
        }
        # The manifest is protected too: its own hash stands in its first line.
        body = json.dumps(manifest, sort_keys=True, allow_nan=False).encode()
        write_folder(target, {**files, MANIFEST: sha256(body).encode() + b"\n" + body + b"\n"})
        self._drop_old()
        size = sum(len(data) for data in files.values())
        seconds = round(time.monotonic() - begun, 4)
        self._sink.emit(Event.CHECKPOINT, step=step, name=target.name, bytes=size, seconds=seconds)

    def newest(self, limit: int | None = None) -> Checkpoint | None:
        """The newest checkpoint that is whole, at a step of at most `limit`; None when there is none.

        Later ones are removed: their steps were never recorded, so they are taken again. Each broken one is
        reported, and removed once an older one was chosen, so that it isn't counted among the ones to keep.
        EngineError CORRUPT_CHECKPOINTS when all are broken: starting from the beginning without a word would
        throw away work that somebody believes to be safe.
        """
        self._remove_later(limit)
        folders = self._newest_first()
        for number, folder in enumerate(folders):
            try:
                chosen = self._read(folder)
            except (BrokenCheckpoint, OSError) as error:
                self._sink.emit(Event.CHECKPOINT_SKIPPED, name=folder.name, reason=str(error))
                continue
            for broken in folders[:number]:
                remove_folder(broken)
            return chosen
        if not folders:
            return None
        raise EngineError(
            FailureCode.CORRUPT_CHECKPOINTS,
            f"None of the {len(folders)} checkpoints of this run can be used.",
            "Check the disk, then retry the job; it begins at step 0.",
        )

    def at(self, step: int) -> Checkpoint:
        """The checkpoint of this step, which another process has found whole."""
        return self._read(self._at(step))

    def _at(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}"

    def _remove_later(self, limit: int | None) -> None:
        for folder in self._newest_first():
            if limit is not None and _step_of(folder) > limit:
                reason = "its last steps were not recorded"
                self._sink.emit(Event.CHECKPOINT_SKIPPED, name=folder.name, reason=reason)
                remove_folder(folder)

    def _newest_first(self) -> list[Path]:
        return sorted((p for p in self._folder.glob("step-*") if p.is_dir()), key=_step_of, reverse=True)

    def _drop_old(self) -> None:
        for folder in self._newest_first()[self._keep :]:
            remove_folder(folder)

    def _read(self, folder: Path) -> Checkpoint:
        manifest = _read_manifest(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise BrokenCheckpoint(f"written in format {manifest['format']}, this engine reads {FORMAT}")
        if manifest["run"] != self._run:
            raise BrokenCheckpoint("belongs to a run with other data, settings or seed")
        files = {name: _read_file(folder / name, facts) for name, facts in manifest["files"].items()}
        return Checkpoint(manifest["step"], folder.name, manifest["progress"], files)


def _step_of(folder: Path) -> int:
    """The step in a checkpoint's name; -1 for a folder that somebody else named."""
    digits = folder.name.removeprefix("step-")
    return int(digits) if digits.isascii() and digits.isdigit() else -1


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BrokenCheckpoint("its manifest is missing")
    digest, _, body = path.read_bytes().partition(b"\n")
    body = body.removesuffix(b"\n")
    if sha256(body).encode() != digest:
        raise BrokenCheckpoint("its manifest is damaged")
    return json.loads(body)


def _read_file(path: Path, facts: dict[str, Any]) -> bytes:
    if not path.is_file():
        raise BrokenCheckpoint(f"{path.name} is missing")
    data = path.read_bytes()
    if len(data) != facts["bytes"] or sha256(data) != facts["sha256"]:
        raise BrokenCheckpoint(f"{path.name} is damaged")
    return data

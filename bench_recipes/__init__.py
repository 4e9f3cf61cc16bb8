"""How well the recipes do on small real data sets, with their default settings, beside what others reached on them.

A module for each kind of data has `run()`, which makes rows. Runs go through the engine as a job of the hub does: a
manifest, a spec, a process.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.protocol import DataSpec, Spec

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
THREADS = int(os.environ.get("BENCH_THREADS", "2"))


@dataclass(frozen=True)
class Row:
    """One figure beside what is known and what is aimed at."""

    name: str
    metric: str
    value: float
    known: str
    aim: str
    seconds: float
    settings: str
    honest: str  # how it was split


@dataclass(frozen=True)
class Done:
    """What came out of a run."""

    metrics: dict[str, float]
    seconds: float
    artifact: Path


@dataclass(frozen=True)
class File:
    """One file of a data set: its label, and the part that it belongs to."""

    path: Path
    label: str | None
    split: str


def data(name: str) -> Path:
    """The folder of this set; FileNotFoundError where it does not lie beside the checkout."""
    found = DATA / name
    if not found.is_dir():
        raise FileNotFoundError(f"the data set {name} is not at {found}")
    return found


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one run, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-recipes-") as path:
        yield Path(path)


def frozen(root: Path, modality: str, files: Iterable[File]) -> DataSpec:
    """A version of these files."""
    files = list(files)
    classes = sorted({file.label for file in files if file.label is not None})
    lines: list[dict[str, Any]] = [{"modality": modality, "classes": classes, "content_hash": root.name}]
    for file in files:
        content = file.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        place = root / "store" / digest[:2] / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        facts = {"name": file.path.name, "label": file.label, "split": file.split, "bytes": len(content)}
        lines.append({"id": f"{file.split}/{file.label}/{file.path.name}", "sha256": digest, **facts})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataSpec(manifest=manifest, store=root / "store")


def train(root: Path, recipe: str, config: dict[str, Any], data: DataSpec, **changes: Any) -> Done:
    """Carry out a run in this folder, as a job's process would; RuntimeError with the reason when it fails."""
    facts = {"job": "benchmark", "seed": 7, "work_dir": root / "work", "threads": THREADS} | changes
    spec = Spec(recipe=recipe, config=config, data=data, **facts)
    path = root / "spec.json"
    path.write_text(spec.model_dump_json())
    begun = time.monotonic()
    process = subprocess.run(
        [sys.executable, "-P", "-m", "engine", str(path)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    last = json.loads(process.stdout.splitlines()[-1]) if process.stdout else {}
    if last.get("event") != "completed":
        raise RuntimeError(f"{recipe} failed: {last.get('message') or process.stderr.decode()[-2000:]}")
    return Done(last["metrics"], time.monotonic() - begun, spec.work_dir / "artifact")

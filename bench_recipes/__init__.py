"""How well the recipes do on small real data sets, with their default settings, beside what others reached on them.

A module for each kind of data has `run() -> list[Row]`. Runs go through the engine as a job of the hub does: a manifest,
a spec, a process.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"


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
class File:
    """One file of a data set: its label, and the part that it belongs to."""

    path: Path
    label: str
    split: str


def data(name: str) -> Path:
    """The folder of this set; FileNotFoundError where it does not lie beside the checkout."""
    folder = DATA / name
    if not folder.is_dir():
        raise FileNotFoundError(f"the data set {name} is not at {folder}")
    return folder


def frozen(root: Path, modality: str, files: Iterable[File]) -> dict[str, str]:
    """A version of these files, as a spec names it."""
    files = list(files)
    lines: list[dict[str, Any]] = [{"modality": modality, "classes": sorted({file.label for file in files})}]
    for file in files:
        content = file.path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        place = root / "store" / digest[:2] / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        facts = {"name": file.path.name, "label": file.label, "split": file.split, "bytes": len(content)}
        lines.append({"id": digest, "sha256": digest, **facts})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"manifest": str(manifest), "store": str(root / "store")}


def train(
    recipe: str, modality: str, files: Iterable[File], config: dict[str, Any] | None = None, **changes: Any
) -> tuple[dict[str, float], float]:
    """The final metrics of a run on these files, and its seconds; RuntimeError with the reason when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        spec = {
            "job": "benchmark",
            "recipe": recipe,
            "config": config or {},
            "seed": 7,
            "data": frozen(root, modality, files),
            "work_dir": str(root / "work"),
            "threads": int(os.environ.get("BENCH_THREADS", "2")),
            **changes,
        }
        (root / "spec.json").write_text(json.dumps(spec))
        return launch(root)


def launch(root: Path) -> tuple[dict[str, float], float]:
    """Run `spec.json` of this folder; see `train`."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "engine", str(root / "spec.json")],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    last = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    if last.get("event") != "completed":
        raise RuntimeError(f"the run failed: {last.get('message') or done.stderr.decode()[-2000:]}")
    return last["metrics"], time.monotonic() - begun

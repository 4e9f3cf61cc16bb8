"""What the engine's tests share: small real data, specs for it, and ways to run them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from PIL import Image

from engine.control import Control
from engine.events import ListSink
from engine.protocol import Command, DataSpec, Event, Exit, Spec
from engine.run import run

ROOT = Path(__file__).resolve().parents[2]
TEXT = "\n".join(topics[name] for name in sorted(topics))
SMALL_TEXT = {
    "layers": 2, "heads": 2, "width": 32, "block_size": 32, "batch_size": 8, "steps": 60, "warmup_steps": 5,
    "dropout": 0.1, "evaluate_every": 15, "evaluation_batches": 2, "sample_every": 25, "sample_length": 10,
}  # fmt: skip
SMALL_IMAGES = {"epochs": 5, "batch_size": 16, "width": 8, "depth": 2, "augmentation": "strong"}

FileLine = tuple[str, str | None, str, bytes]  # name, label, split, content


def make_data(root: Path, modality: str, files: list[FileLine], classes: list[str] | None = None) -> DataSpec:
    """A frozen version of these files."""
    store = root / "store"
    labels = sorted({label for _, label, _, _ in files if label}) if classes is None else classes
    lines: list[dict[str, Any]] = [{"modality": modality, "classes": labels, "counts": {}, "content_hash": "c"}]
    for name, label, split, content in files:
        digest = hashlib.sha256(content).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(content)
        facts = {"sha256": digest, "name": name, "label": label, "split": split, "bytes": len(content)}
        lines.append({"id": name, **facts})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataSpec(manifest=manifest, store=store)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def digit_files(count: int | None = None, every: int = 5) -> list[FileLine]:
    """scikit-learn's digits as PNG files in class folders; each `every`th is for validation."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pairs = list(zip(digits.images, digits.target, strict=True))[:count]
    return [
        (f"{y}/{i}.png", str(y), "train" if i % every else "validation", png(x * 255 / 16))
        for i, (x, y) in enumerate(pairs)
    ]


def text_data(root: Path, characters: int = 40_000) -> DataSpec:
    return make_data(root, "text", [("topics.txt", None, "train", TEXT[:characters].encode())])


def text_spec(root: Path, **changes: Any) -> Spec:
    config = SMALL_TEXT | changes.pop("config", {})
    data = changes.pop("data", None) or text_data(root)
    return spec(root, "text-generation", config, data=data, **changes)


def image_spec(root: Path, **changes: Any) -> Spec:
    config = SMALL_IMAGES | changes.pop("config", {})
    data = changes.pop("data", None) or make_data(root, "image", digit_files(250))
    return spec(root, "image-classification", config, data=data, **changes)


def simulate_spec(root: Path, **config: Any) -> Spec:
    return spec(root, "simulate", {"steps": 20, "step_seconds": 0.01} | config)


def spec(root: Path, recipe: str, config: dict[str, Any], **changes: Any) -> Spec:
    facts = {"job": "test", "work_dir": root / "work", "device": "cpu", "threads": 1, "seed": 7} | changes
    return Spec(recipe=recipe, config=config, **facts)


class Watcher(ListSink):
    """Keeps events, and does something when a step was taken or a kind of event came."""

    def __init__(self, control: Control, when: Mapping[int | Event, Command]) -> None:
        super().__init__()
        self.control = control
        self.when = when

    def step(self, step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> None:
        super().step(step, epoch, metrics, rate)
        self._do(step)

    def emit(self, event: Event, **fields: Any) -> None:
        super().emit(event, **fields)
        self._do(event)

    def _do(self, what: int | Event) -> None:
        if what in self.when:
            self.control.request(self.when[what])


def carry_out(spec: Spec, when: Mapping[int | Event, Command] | None = None) -> tuple[Exit, Watcher]:
    """Run in this process; `when` gives commands after a step (its number) or an event (its kind)."""
    control = Control()
    sink = Watcher(control, when or {})
    return run(spec, sink, control), sink


class Process:
    """`python -m engine` with an events pipe and a control pipe, leading its own process group."""

    def __init__(self, spec: Spec, before: Callable[[], None] | None = None, wrap: str = "") -> None:
        self.path = spec.work_dir.parent / "spec.json"
        self.path.write_text(spec.model_dump_json())
        command = [sys.executable, "-P", "-m", "engine", str(self.path)]
        if wrap:
            command = ["sh", "-c", f'{wrap} exec "$@"', "sh", *command]
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=spec.work_dir.parent,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
            preexec_fn=before,
        )
        self.events: list[dict[str, Any]] = []

    def read(self) -> Iterator[dict[str, Any]]:
        """Events as they come, until the stream ends."""
        assert self.popen.stdout
        for line in self.popen.stdout:
            event = json.loads(line)
            self.events.append(event)
            yield event

    def read_until(self, kind: str, at_least: int = 0) -> dict[str, Any]:
        """The first event of a kind, of at least this step."""
        for event in self.read():
            if event["event"] == kind and event.get("step", 0) >= at_least:
                return event
        raise AssertionError(f"no {kind}: {self.events[-3:]} {self.popen.stderr and self.popen.stderr.read()!r}")

    def say(self, command: str) -> None:
        assert self.popen.stdin
        self.popen.stdin.write(command.encode() + b"\n")
        self.popen.stdin.flush()

    def ask(self, command: Command) -> None:
        self.say(json.dumps({"command": command}))

    def finish(self, timeout: float = 60) -> int:
        """Read to the end; the exit code. A process that doesn't end in time is killed, and the test fails."""
        timer = threading.Timer(timeout, os.killpg, (self.popen.pid, signal.SIGKILL))
        timer.start()
        for _ in self.read():
            pass
        code = self.popen.wait()
        assert timer.is_alive(), f"it did not end within {timeout} seconds"
        timer.cancel()
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        return code


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def newest_checkpoint(spec: Spec) -> Path:
    return max((spec.work_dir / "checkpoints").glob("step-*"))


def outcome(spec: Spec) -> dict[str, str]:
    """Everything that a run leaves: artifact, and the state of weights, optimizer and random numbers."""
    state = hashes(newest_checkpoint(spec))
    return {f"artifact/{n}": h for n, h in hashes(spec.work_dir / "artifact").items()} | state


def temporary_files(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if ".tmp" in p.name]

"""Starts warm servers and trainers for the tests of this folder."""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import launch
from engine.launch import Trainer
from engine.processes import process_alive, start_time_of
from engine.serving.client import client_of, status


@contextmanager
def warm_server(folder: Path, env: dict[str, str] | None = None) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A warm server that answers; yields its socket and its process."""
    socket_path = folder / "warm.sock"
    process = subprocess.Popen(launch.warm_command(socket_path, parent=os.getpid()), env=launch.engine_environment(env))
    try:
        until(lambda: launch.ping(socket_path) or process.poll() is not None, 60)
        assert process.poll() is None, "the warm server did not start"
        yield socket_path, process
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def model_server(warm: Path, folder: Path, limit: int = 1 << 40) -> Iterator[Path]:
    """A model server that answers; yields its socket."""
    socket_path = folder / "models.sock"
    pid = launch.start_model_server(warm, socket_path, parent=os.getpid(), limit=limit)
    started = start_time_of(pid) or 0
    try:
        until(lambda: _answers(socket_path), 10)
        yield socket_path
    finally:
        if process_alive(pid, started):
            os.kill(pid, signal.SIGTERM)
        until(lambda: not process_alive(pid, started))
        client_of(socket_path).close()


def _answers(socket_path: Path) -> bool:
    try:
        return bool(status(socket_path))
    except OSError:
        return False


def until(condition: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Wait for a condition; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return value


def simulation(folder: Path, **config: Any) -> Path:
    """The spec file of a simulated run; by default it is over at once."""
    work = folder / f"job-{time.time_ns()}"
    work.mkdir()
    spec = {
        "job": "simulated",
        "recipe": "simulate",
        "config": {"steps": 3, "step_seconds": 0, **config},
        "work_dir": str(work),
    }
    path = work / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def endless(folder: Path) -> Path:
    """The spec file of a run that goes on until it is ended."""
    return simulation(folder, steps=1_000_000, step_seconds=0.02)


def text_run(folder: Path, **config: Any) -> Path:
    """The spec file of a real, very small training run; its artifact comes to <folder>/work/artifact."""
    items = [_text_item(folder, split) for split in ("train", "validation")]
    header = {"modality": "text", "classes": [], "counts": {"train": 1, "validation": 1}, "content_hash": "0" * 64}
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(json.dumps(line) for line in (header, *items)))
    (folder / "work").mkdir()
    sizes = {"layers": 1, "heads": 1, "width": 8, "block_size": 8, "steps": 5, "warmup_steps": 1}
    spec = {
        "job": "text",
        "recipe": "text-generation",
        "config": {**sizes, **config},
        "work_dir": str(folder / "work"),
        "data": {"manifest": str(manifest), "store": str(folder / "store")},
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def _text_item(folder: Path, split: str) -> dict[str, Any]:
    content = ("the quick brown fox jumps over the lazy dog. " * 60 + split).encode()
    digest = hashlib.sha256(content).hexdigest()
    file = folder / "store" / digest[:2] / digest
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return {
        "id": split,
        "sha256": digest,
        "name": f"{split}.txt",
        "label": None,
        "split": split,
        "bytes": len(content),
    }


def read_events(trainer: Trainer, stop_at: str | None = None, seconds: float = 30.0) -> list[dict[str, Any]]:
    """The events until one of this kind, or until the trainer has ended."""
    events: list[dict[str, Any]] = []
    rest = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        over = trainer.poll() is not None
        try:
            data = os.read(trainer.events, 1 << 20)
        except BlockingIOError:
            select.select([trainer.events, trainer.exit_fd], [], [], 0.5)
            continue
        *lines, rest = (rest + data).split(b"\n")
        events += [json.loads(line) for line in lines]
        if any(event["event"] == stop_at for event in events) or (over and not data):
            return events
        if not data:
            trainer.wait(5)
    raise AssertionError(f"not in time; so far: {events[-3:]}")


def read_output(trainer: Trainer) -> str:
    """What the trainer has printed until now."""
    try:
        return os.read(trainer.output, 1 << 20).decode()
    except BlockingIOError:
        return ""


def proportional_mib(pid: int) -> float:
    """Memory of a process, shared pages counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))

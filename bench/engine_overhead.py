"""How much of a bare torch loop's speed is left when the engine runs the same model.

Both loops alternate in one process, so that a machine's moods hit both; the ratio is taken per round, and
the median of the rounds is printed. The bare loop does the same arithmetic (batch, forward, backward,
clip, AdamW) and nothing else; the engine reports every step to a pipe that a reader empties.

    python bench/engine_overhead.py [--rounds 15] [--skip-loss] [--threads 2]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.isolation import block_hub_packages

block_hub_packages()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from engine.catalogue import check_config, load, recipe  # noqa: E402
from engine.checkpoint import Checkpoints  # noqa: E402
from engine.control import Control  # noqa: E402
from engine.device import prepare  # noqa: E402
from engine.events import ListSink, StreamSink  # noqa: E402
from engine.loop import Loop  # noqa: E402
from engine.protocol import Spec  # noqa: E402
from engine.recipes.image_classification.trainer import ImageClassificationTask  # noqa: E402
from engine.recipes.text_generation.trainer import TextGenerationTask  # noqa: E402
from engine.run import run  # noqa: E402
from engine.task import Context  # noqa: E402
from engine.training import TorchTask  # noqa: E402

CLIP = 1.0


def main() -> None:
    arguments = _parse()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cases = [
            ("GPT 4 layers, width 128, block 64, batch 12", text_spec(root, arguments.threads), bare_text, 30),
            ("small residual network, 8x8 images", image_spec(root, arguments.threads), bare_images, 300),
        ]
        print(f"{'model':45} {'bare ms/step':>12} {'engine ms/step':>14} {'ratio':>7} {'lowest':>7} {'highest':>7}")
        for name, spec, bare, steps in cases:
            compare(name, spec, bare, steps, arguments.rounds)
        if not arguments.skip_loss:
            print_final_loss(root, arguments.threads)


def compare(name: str, spec: Spec, bare: Callable[[TorchTask, int], None], steps: int, rounds: int) -> None:
    """Print a row: median time of both loops, and the ratio of their steps per second."""
    prepare(spec)
    bare_task, loop = make_task(spec), make_loop(spec)
    bare(bare_task, steps // 4)
    advance(loop, steps // 4)
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        pair = [lambda: bare(bare_task, steps), lambda: advance(loop, steps)]
        measured = [0.0, 0.0]
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            begun = time.perf_counter()
            pair[which]()
            measured[which] = (time.perf_counter() - begun) / steps
        times.append((measured[0], measured[1]))
    loop.sink.close()
    ratios = sorted(b / e for b, e in times)
    bare_ms, engine_ms = (1000 * median(t[i] for t in times) for i in (0, 1))
    print(f"{name:45} {bare_ms:12.3f} {engine_ms:14.3f} {median(ratios):7.3f} {ratios[0]:7.3f} {ratios[-1]:7.3f}")


def advance(loop: Loop, steps: int) -> None:
    """What the engine does between two steps, as in Loop.run, for a number of steps."""
    for _ in range(steps):
        loop.observe_when_due()
        loop.save_when_due()
        loop.obey()
        loop.train_one_step()


def bare_text(task: TorchTask, steps: int) -> None:
    """A GPT's loop as one writes it by hand."""
    assert isinstance(task, TextGenerationTask)
    block, batch, data = task.block, task.config.batch_size, task.train
    span = torch.arange(block + 1)
    for _ in range(steps):
        piece = data[torch.randint(len(data) - block, (batch, 1)) + span]
        logits = task.model(piece[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), piece[:, 1:].reshape(-1))
        _update(loss, task)


def bare_images(task: TorchTask, steps: int) -> None:
    """An image classifier's loop over tensors in memory, without augmentation."""
    assert isinstance(task, ImageClassificationTask)
    pictures = task.parts.train.inputs  # small enough to be kept normalised
    labels, size = task.parts.train.labels, task.config.batch_size
    done = 0
    while done < steps:
        for chosen in torch.randperm(len(labels)).split(size)[: steps - done]:
            logits = task.model(pictures[chosen])
            _update(F.cross_entropy(logits, labels[chosen], label_smoothing=0.05), task)
            done += 1


def _update(loss: torch.Tensor, task: TorchTask) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(task.parameters, CLIP)
    task.optimizer.step()
    task.optimizer.zero_grad(set_to_none=True)


def make_task(spec: Spec) -> Any:
    config = check_config(spec.recipe, spec.config)
    return load(recipe(spec.recipe).trainer)(Context(spec, config, ListSink()))


def make_loop(spec: Spec) -> Loop:
    """The engine's loop, reporting to a pipe that another process empties."""
    reader, writer = os.pipe()
    subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL)
    os.close(reader)
    sink = StreamSink(writer)
    checkpoints = Checkpoints(spec.work_dir / "checkpoints", 3, "bench", sink)
    loop = Loop(make_task(spec), checkpoints, sink, Control(), spec.checkpoint_seconds, spec.work_dir / "artifact")
    loop.plan = replace(loop.plan, evaluate_every=0)  # the bare loop doesn't evaluate either
    loop.restore(None)
    return loop


def print_final_loss(root: Path, threads: int) -> None:
    """A whole run at the published CPU setting."""
    sink = ListSink()
    spec = text_spec(root, threads).model_copy(update={"work_dir": root / "whole"})
    begun = time.perf_counter()
    run(spec.model_copy(update={"config": {"sample_every": 0}}), sink, Control())
    last = sink.events[-1]
    print(f"\nGPT, 2000 steps, validation loss on all of the held-out text: {last['metrics']['validation/loss']:.4f}")
    print(f"({time.perf_counter() - begun:.0f} s with evaluations and checkpoints)")


def text_spec(root: Path, threads: int) -> Spec:
    text = "\n".join(topics[name] for name in sorted(topics)).encode()
    items = [("topics.txt", None, "train", text)]
    config = {"steps": 1_000_000, "evaluate_every": 1_000_000, "sample_every": 0}
    return _spec(root, "text-generation", "text", items, config, threads)


def image_spec(root: Path, threads: int) -> Spec:
    from sklearn.datasets import load_digits

    digits = load_digits()
    items = []
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = io.BytesIO()
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(file, "PNG")
        part = "validation" if number % 100 == 0 else "train"
        items.append((f"{label}/{number}.png", str(label), part, file.getvalue()))
    # About 2 ms a step.
    config = {"augmentation": "none", "width": 8, "depth": 1, "batch_size": 32, "epochs": 10_000, "dropout": 0}
    return _spec(root, "image-classification", "image", items, config, threads)


def _spec(root: Path, name: str, modality: str, items: list[Any], config: dict[str, Any], threads: int) -> Spec:
    manifest, store = root / f"{modality}.jsonl", root / "store"
    labels = sorted({label for _, label, _, _ in items if label})
    lines: list[dict[str, Any]] = [{"modality": modality, "classes": labels, "counts": {}, "content_hash": ""}]
    for path, label, part, data in items:
        digest = hashlib.sha256(data).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(data)
        lines.append({"id": path, "sha256": digest, "name": path, "label": label, "split": part, "bytes": len(data)})
    manifest.write_text("\n".join(map(json.dumps, lines)))
    return Spec(
        job="bench",
        recipe=name,
        config=config,
        data={"manifest": manifest, "store": store},
        work_dir=root / name,
        threads=threads,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--skip-loss", action="store_true", help="leave out the whole run of 2000 steps")
    return parser.parse_args()


if __name__ == "__main__":
    main()

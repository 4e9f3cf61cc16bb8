"""What `bench.engine_overhead` compares, a case for each recipe that iterates: its data, settings with steps of 5 ms
and more, and the loop that one would write by hand.

Two loops are written out whole. The others take batches and losses from the recipe, as a script would take them from
its own functions, and do the rest (forward, backward, clipping, AdamW) by hand. Recipes whose steps are not made by
gradients have their own steps called one after the other.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from engine.protocol import Spec
from engine.recipes.image_classification.trainer import ImageClassificationTask
from engine.recipes.text_generation.trainer import TextGenerationTask
from engine.training import TorchTask
from tests.recipes.clips import films, recordings
from tests.recipes.language_models import make_llama
from tests.recipes.pipelines import make_pipeline
from tests.recipes.rows import rows_data
from tests.recipes.sheets import sheet_data
from tests.recipes.vision_models import vision_transformer

CLIP = 1.0
Bare = Callable[[Any, int], None]


@dataclass(frozen=True)
class Case:
    """`steps` are those of one round of a comparison; the work of some recipes ends, so theirs begins anew in each."""

    name: str
    spec: Callable[[Path, int], Spec]
    bare: Bare
    steps: int
    anew: bool = False


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


def bare_torch(task: TorchTask, steps: int) -> None:
    """The recipe's batches and losses; everything around them by hand."""
    first = getattr(task, "bare_steps", 0)
    for index in range(first, first + steps):
        loss, _ = task.loss(task.batch(index))
        _update(loss, task)
    task.bare_steps = first + steps  # type: ignore[attr-defined]


def own_steps(task: Any, steps: int) -> None:
    """The recipe's steps, one after the other."""
    for index in range(steps):
        task.step(index)


def _update(loss: torch.Tensor, task: TorchTask) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(task.parameters, CLIP)
    task.optimizer.step()
    task.optimizer.zero_grad(set_to_none=True)


def text_spec(root: Path, threads: int) -> Spec:
    text = "\n".join(topics[name] for name in sorted(topics)).encode()
    items = [("topics.txt", None, "train", text)]
    config = {"steps": 1_000_000, "evaluate_every": 1_000_000, "sample_every": 0, "block_size": 64}
    return _files_spec(root, "text-generation", "text", items, config, threads)


def digits_spec(root: Path, threads: int, width: int = 16) -> Spec:
    from sklearn.datasets import load_digits

    digits = load_digits()
    items = []
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = io.BytesIO()
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(file, "PNG")
        part = "validation" if number % 100 == 0 else "train"
        items.append((f"{label}/{number}.png", str(label), part, file.getvalue()))
    config = {"augmentation": "none", "width": width, "depth": 1, "batch_size": 64, "epochs": 10_000, "dropout": 0}
    return _files_spec(root, "image-classification", "image", items, config, threads)


def adapter_spec(root: Path, threads: int) -> Spec:
    base = make_llama(root / "llama", hidden_size=128, intermediate_size=256)
    config = {"method": "lora", "steps": 1_000_000, "evaluate_every": 1_000_000, "sample_every": 0, "batch_size": 8,
              "block_size": 64}  # fmt: skip
    data = rows_data(root, [{"prompt": f"Anna has {n} apples.", "completion": f"{n + 1}."} for n in range(400)])
    return _spec(root, "text-generation", config, data, threads, base)


def words_spec(root: Path, threads: int) -> Spec:
    return _spec(root, "text-classification", {"epochs": 10_000, "batch_size": 256}, _sentences(root), threads)


def encoder_spec(root: Path, threads: int) -> Spec:
    base = make_llama(root / "llama", hidden_size=128, intermediate_size=256)
    config = {"method": "lora", "epochs": 10_000, "batch_size": 16}
    return _spec(root, "text-classification", config, _sentences(root), threads, base)


def transformer_spec(root: Path, threads: int) -> Spec:
    spec = digits_spec(root, threads)
    base = vision_transformer(root / "vit", classes=10)
    config = {"epochs": 10_000, "batch_size": 64, "augmentation": "none"}
    return spec.model_copy(update={"config": config, "base": base})


def pipeline_spec(root: Path, threads: int) -> Spec:
    random = np.random.default_rng(3)
    items = []
    for number in range(6):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (20, 24, 3)).astype(np.uint8)).save(file, "PNG")
        items.append((f"{number}.png", None, "validation" if number == 5 else "train", file.getvalue()))
    config = {"steps": 1_000_000, "batch_size": 4, "rank": 4, "prompt": "a photo of sks dog", "sample_every": 1_000_000}
    spec = _files_spec(root, "image-generation", "image", items, config, threads)
    return spec.model_copy(update={"base": make_pipeline(root / "pipeline")})


def tones_spec(root: Path, threads: int) -> Spec:
    config = {"epochs": 10_000, "batch_size": 16}
    return _files_spec(root, "audio-classification", "audio", recordings(40), config, threads)


def films_spec(root: Path, threads: int) -> Spec:
    config = {"epochs": 10_000, "batch_size": 4, "width": 8, "image_size": 32}
    return _files_spec(root, "video-classification", "video", films(8), config, threads)


def series_spec(root: Path, threads: int) -> Spec:
    places = np.arange(4000)
    noise = np.random.default_rng(2).normal(0, 0.3, (2, 4000))
    hours = np.datetime64("2024-01-01", "us") + places.astype("timedelta64[h]")
    day = np.sin(places * 2 * np.pi / 24)
    data = sheet_data(root, {"hour": hours, "a": day + noise[0], "b": 3 * day + noise[1]})
    config = {"target": "all", "horizon": 96, "history": 336, "network_steps": 100_000, "candidates": ["network"],
              "batch_size": 256}  # fmt: skip
    return _spec(root, "forecast", config, data, threads)


def table_spec(root: Path, threads: int) -> Spec:
    random = np.random.default_rng(2)
    columns = {f"x{number}": values for number, values in enumerate(random.normal(size=(20, 4000)))}
    target = columns["x0"] * columns["x1"] + columns["x2"] + random.normal(0, 0.1, 4000)
    data = sheet_data(root, columns | {"y": target})
    config = {"target": "y", "rounds": 5000, "early_stopping_rounds": 5000}
    return _spec(root, "table-baseline", config, data, threads)


def sensors_spec(root: Path, threads: int) -> Spec:
    values = np.random.default_rng(2).normal(size=(2, 20_000))
    minutes = np.datetime64("2024-01-01", "us") + np.arange(20_000).astype("timedelta64[m]")
    data = sheet_data(root, {"at": minutes, "heat": values[0], "noise": values[1] ** 2})
    return _spec(root, "anomaly", {"trees": 2000, "candidate": "forest"}, data, threads)


CASES: Sequence[Case] = (
    Case("text-generation: GPT, 4 layers, width 128", text_spec, bare_text, 20),
    Case("text-generation: LoRA of a small Llama", adapter_spec, bare_torch, 20),
    Case("text-classification: words and letters", words_spec, bare_torch, 60),
    Case("text-classification: LoRA of a small Llama", encoder_spec, bare_torch, 20),
    Case("image-classification: residual network", digits_spec, bare_images, 60),
    Case("image-classification: a vision transformer", transformer_spec, bare_torch, 40),
    Case("image-generation: LoRA of a small pipeline", pipeline_spec, bare_torch, 10),
    Case("audio-classification: residual network", tones_spec, bare_torch, 20),
    Case("video-classification: residual network", films_spec, bare_torch, 20),
    Case("forecast: the network's steps", series_spec, bare_torch, 60),
    Case("table-baseline: slices of trees", table_spec, own_steps, 20, anew=True),
    Case("anomaly: trees of the forest", sensors_spec, own_steps, 60, anew=True),
)


def _sentences(root: Path) -> Any:
    words = ["apple", "pear", "plum", "cherry", "grape", "bolt", "screw", "nail", "hammer", "saw"]
    dice = np.random.default_rng(1)
    texts = [" ".join(dice.choice(words, 40)) for _ in range(2000)]
    labels = ["fruit" if text.split()[0] in words[:5] else "tool" for text in texts]
    return rows_data(root, [{"text": text} for text in texts], labels, lambda n: "train" if n % 10 else "validation")


def _files_spec(root: Path, name: str, modality: str, items: list[Any], config: dict[str, Any], threads: int) -> Spec:
    manifest, store = root / f"{modality}.jsonl", root / "store"
    labels = sorted({label for _, label, _, _ in items if label})
    lines: list[dict[str, Any]] = [{"modality": modality, "classes": labels, "counts": {}, "content_hash": ""}]
    for path, label, part, data in items:
        digest = hashlib.sha256(data).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(data)
        lines.append({"id": path, "sha256": digest, "name": path, "label": label, "split": part, "bytes": len(data)})
    manifest.write_text("\n".join(map(json.dumps, lines)))
    return _spec(root, name, config, {"manifest": manifest, "store": store}, threads)


def _spec(root: Path, name: str, config: dict[str, Any], data: Any, threads: int, base: Path | None = None) -> Spec:
    return Spec(job="bench", recipe=name, config=config, data=data, base=base, work_dir=root / "work", threads=threads)

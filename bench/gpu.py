"""What a GPU reaches when the engine trains a GPT as large as GPT-2: tokens a second, the share of the arithmetic that
it could do at most, the share of the time that it waited for data, and memory.

The run is a real one, by the engine's loop, in bfloat16, with every step reported.

    python bench/gpu.py [--steps 60] [--batch 16] [--compile on]
    python bench/gpu.py --tiny    # the same with a tiny model, on this machine's CPU too: to see that it works
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from pydoc_data.topics import topics
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.isolation import block_hub_packages

block_hub_packages()

import torch  # noqa: E402

from bench.report import line  # noqa: E402
from engine.control import Control  # noqa: E402
from engine.events import ListSink  # noqa: E402
from engine.loop import WAITING  # noqa: E402
from engine.protocol import Command, Event, Exit, Spec  # noqa: E402
from engine.run import run  # noqa: E402

# Products of bfloat16 a second, dense, as NVIDIA's data sheets of these GPUs say; where a sheet says "with sparsity",
# half of it. The first name that a GPU's name contains is taken.
PEAKS = {
    "H200": 989.5e12,
    "H100 PCIe": 756.5e12,
    "H100 NVL": 835.5e12,
    "H100": 989.5e12,
    "A100": 312e12,
}
GPT2 = {"layers": 12, "heads": 12, "width": 768, "block_size": 1024, "vocabulary_size": 50_257}
TINY = {"layers": 2, "heads": 2, "width": 32, "block_size": 32, "vocabulary_size": 400}
WARMING = 10  # steps at the beginning that are not counted


class Watch(ListSink):
    """Notes when steps ended, and ends the run after its first evaluation."""

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.control = control
        self.ends: list[float] = []

    def step(self, step: int, epoch: float, metrics: Mapping[str, float], rate: float) -> None:
        self.ends.append(time.perf_counter())

    def emit(self, event: Event, **fields: Any) -> None:
        super().emit(event, **fields)
        if event is Event.EVALUATION:
            self.control.request(Command.CANCEL)


def main() -> int:
    arguments = _parse()
    if not torch.cuda.is_available() and not arguments.tiny:
        print("This measures a model of GPT-2's size on a GPU, and this machine has none that torch can use.")
        return 0
    model = TINY if arguments.tiny else GPT2
    batch = min(arguments.batch, 4) if arguments.tiny else arguments.batch
    with tempfile.TemporaryDirectory() as folder:
        spec = spec_of(Path(folder), model, batch, arguments.steps, arguments.compile)
        control = Control()
        sink = Watch(control)
        if run(spec, sink, control) is not Exit.CANCELLED:
            print(f"The run failed: {sink.events[-1].get('message')}", file=sys.stderr)
            return 1
    show(sink, model, batch)
    return 0


def show(sink: Watch, model: Mapping[str, int], batch: int) -> None:
    """Print the figures of a run that has ended."""
    (plan,), (started,) = sink.of(Event.PLAN), sink.of(Event.STARTED)
    for event in sink.of(Event.LOG):
        print(event["message"])
    tokens = batch * model["block_size"]
    taken = [after - before for before, after in zip(sink.ends, sink.ends[1:], strict=False)][WARMING:]
    seconds = median(taken)
    line("device", started["device"])
    line(f"weights; tokens a step ({batch} x {model['block_size']})", f"{plan['parameters']:,}; {tokens:,}")
    line("tokens a second", f"{tokens / seconds:,.0f}")
    line("seconds a step, median", f"{seconds:.4f}")
    reached = operations(plan["parameters"], model) * tokens / seconds
    peak = peak_of(started["device"])
    share = "the peak of this device is not known" if peak is None else f"{reached / peak:.1%}"
    line("operations a second; share of the device's peak (MFU)", f"{reached / 1e12:.2f} TFLOP/s; {share}")
    line(
        "share of the time in which the device waited for data",
        f"{sink.of(Event.EVALUATION)[0]['metrics'][WAITING]:.2%}",
    )
    if torch.cuda.is_available():
        line("peak memory of the device", f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def operations(parameters: int, model: Mapping[str, int]) -> float:
    """Operations that a token takes, forwards and backwards: six for each weight, and those of attention (Chowdhery et
    al., 2022, appendix B). The embedding is the output layer too, so it counts."""
    return 6 * parameters + 12 * model["layers"] * model["width"] * model["block_size"]


def peak_of(device: str) -> float | None:
    """The most operations a second of a device by its name; None where it isn't known."""
    return next((peak for name, peak in PEAKS.items() if name in device), None)


def spec_of(root: Path, model: Mapping[str, int], batch: int, steps: int, compiled: str) -> Spec:
    """A run from scratch on the text of Python's documentation."""
    text = "\n".join(topics[name] for name in sorted(topics)).encode()
    digest = hashlib.sha256(text).hexdigest()
    (root / "store" / digest[:2]).mkdir(parents=True)
    (root / "store" / digest[:2] / digest).write_bytes(text)
    item = {"id": "0", "sha256": digest, "name": "topics.txt", "label": None, "split": "train", "bytes": len(text)}
    lines = [{"modality": "text", "classes": [], "counts": {}, "content_hash": ""}, item]
    (root / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    steps += WARMING
    config = {
        **model, "tokenizer": "pieces", "batch_size": batch, "steps": steps + 1, "compile": compiled,
        "evaluate_every": steps, "evaluation_batches": 1, "sample_every": 0,
    }  # fmt: skip
    return Spec(
        job="bench", recipe="text-generation", config=config, work_dir=root / "work", checkpoint_seconds=1e9,
        data={"manifest": root / "manifest.jsonl", "store": root / "store"},
    )  # fmt: skip


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="steps that are measured")
    parser.add_argument("--batch", type=int, default=16, help="pieces of 1,024 tokens a step")
    parser.add_argument("--compile", choices=("on", "off"), default="off")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on any machine")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

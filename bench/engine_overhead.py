"""How much of a bare torch loop's speed is left when the engine runs the same model, for each recipe.

Both loops alternate in one process, so that a machine's moods hit both; the ratio is taken per round, and
the median of the rounds is printed. The bare loop does the same arithmetic (batch, forward, backward,
clip, AdamW) and nothing else; the engine reports every step to a pipe that a reader empties.

    python bench/engine_overhead.py [--rounds 15] [--skip-loss] [--threads 2] [--only audio]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.isolation import block_hub_packages

block_hub_packages()

from bench.overhead_cases import CASES, Case, text_spec  # noqa: E402
from engine.catalogue import check_config, load, recipe  # noqa: E402
from engine.checkpoint import Checkpoints  # noqa: E402
from engine.control import Control  # noqa: E402
from engine.device import prepare  # noqa: E402
from engine.events import ListSink, StreamSink  # noqa: E402
from engine.loop import Loop  # noqa: E402
from engine.protocol import Spec  # noqa: E402
from engine.run import run  # noqa: E402
from engine.task import Context  # noqa: E402


def main() -> None:
    arguments = _parse()
    print(f"{'recipe: model':46} {'bare ms/step':>12} {'engine ms/step':>14} {'ratio':>7} {'lowest':>7} {'highest':>7}")
    for case in CASES:
        if arguments.only in case.name:
            with tempfile.TemporaryDirectory() as folder:
                compare(case, case.spec(Path(folder), arguments.threads), arguments.rounds)
    if not arguments.skip_loss:
        with tempfile.TemporaryDirectory() as folder:
            print_final_loss(Path(folder), arguments.threads)


def compare(case: Case, spec: Spec, rounds: int) -> None:
    """Print a row: median time of both loops, and the ratio of their steps per second."""
    prepare(spec)
    task, loop = make_task(spec), make_loop(spec)
    case.bare(task, max(2, case.steps // 4))
    advance(loop, max(2, case.steps // 4))
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        if case.anew:
            task, loop = make_task(spec), make_loop(spec)
        measured = [0.0, 0.0]
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            begun = time.perf_counter()
            if which:
                advance(loop, case.steps)
            else:
                case.bare(task, case.steps)
            measured[which] = (time.perf_counter() - begun) / case.steps
        times.append((measured[0], measured[1]))
        if case.anew:
            loop.sink.close()
    ratios = sorted(b / e for b, e in times)
    bare_ms, engine_ms = (1000 * median(t[i] for t in times) for i in (0, 1))
    print(
        f"{case.name:46} {bare_ms:12.3f} {engine_ms:14.3f} {median(ratios):7.3f} {ratios[0]:7.3f} {ratios[-1]:7.3f}",
        flush=True,
    )


def advance(loop: Loop, steps: int) -> None:
    """What the engine does between two steps, as in Loop.run, for a number of steps."""
    for _ in range(steps):
        loop.observe_when_due()
        loop.save_when_due()
        loop.obey()
        loop.train_one_step()


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


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="recipes whose row has this in its name")
    parser.add_argument("--skip-loss", action="store_true", help="leave out the whole run of 2000 steps")
    return parser.parse_args()


if __name__ == "__main__":
    main()

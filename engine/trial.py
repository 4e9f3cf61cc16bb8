"""A few steps of a run, to see what it takes: `python -P -m engine trial spec.json` prints one JSON object.

Nothing is written and nothing is kept. The hub starts the same through the warm server, by a spec whose
`trial_seconds` is set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from engine.control import Control
from engine.events import ListSink
from engine.isolation import block_hub_packages, share_cores
from engine.protocol import Event, Exit, Spec
from engine.task import Task

SECONDS = 10.0
MAX_STEPS = 200


class Memory:
    """The most memory that this process held for itself since it was made, in bytes.

    A forked process begins with its parent's pages, which count in part; what comes later is its own."""

    def __init__(self) -> None:
        self.resident = _status("VmRSS")
        self.own = _proportional() or self.resident

    def peak(self) -> int:
        return max(self.own, self.own + _status("VmHWM") - self.resident)


def measure(task: Task, seconds: float) -> dict[str, Any]:
    """Take steps for about so many seconds, the first of them unmeasured, and look at the validation part once.

    Seconds per step, of an evaluation and of making a checkpoint; bytes of a checkpoint; what the plan says."""
    until = time.monotonic() + seconds
    taken: list[float] = []
    examples = 0
    for index in range(min(MAX_STEPS, task.plan.total_steps)):
        started = time.monotonic()
        examples = task.step(index)[1]
        taken.append(time.monotonic() - started)
        if time.monotonic() >= until:
            break
    started = time.monotonic()
    task.evaluate(final=False)
    evaluated = time.monotonic()
    state = task.state()
    plan = task.plan
    return {
        "steps": len(taken),
        "seconds_per_step": median(taken[1:] or taken),
        "examples_per_step": examples,
        "evaluation_seconds": evaluated - started,
        "checkpoint_seconds": time.monotonic() - evaluated,
        "checkpoint_bytes": sum(len(data) for data in state.values()),
        "parameters": plan.parameters,
        "total_steps": plan.total_steps,
        "steps_per_epoch": plan.steps_per_epoch,
        "fixed": plan.fixed,
        "evaluate_every": plan.evaluate_every,
        "train_items": plan.train_items,
        "validation_items": plan.validation_items,
    }


def device_memory() -> dict[str, int | None]:
    """The most memory of the GPU that was held, and how much it has; None on a CPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {"device_memory_bytes": None, "device_memory_total": None}
    _, total = torch.cuda.mem_get_info()
    return {"device_memory_bytes": torch.cuda.max_memory_reserved(), "device_memory_total": total}


def main(arguments: list[str]) -> int:
    """The command line: prints what was measured, or {"code", "message", "hint"} and ends with 1."""
    parser = argparse.ArgumentParser(prog="python -m engine trial", description=__doc__)
    parser.add_argument("spec", type=Path, help="JSON file, see engine.protocol.Spec")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long to take steps")
    given = parser.parse_args(arguments)
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes where errors go
    block_hub_packages()
    share_cores()
    from engine.run import explain, run

    sink = ListSink()
    try:
        spec = Spec.read(given.spec)
    except (OSError, ValueError) as error:
        failure = explain(error)
        found: dict[str, Any] = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        code = Exit.FAILED
    else:
        with TemporaryDirectory() as scratch:
            changes = {"trial_seconds": given.seconds, "processes": 1, "work_dir": Path(scratch)}
            code = run(spec.model_copy(update=changes), sink, Control(None))
        kind = Event.MEASURED if code == Exit.COMPLETED else Event.FAILED
        found = {key: value for key, value in sink.of(kind)[-1].items() if key not in ("event", "traceback")}
    os.write(answer, json.dumps(found).encode() + b"\n")
    return code


def _status(name: str) -> int:
    """A figure of /proc/self/status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _proportional() -> int | None:
    """Memory of this process; pages that it shares count in part."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)

"""One attempt from its spec to its exit code; whatever goes wrong ends as a `failed` event with a reason."""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
import traceback
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.catalogue import check_config, load, recipe
from engine.checkpoint import Checkpoint, Checkpoints, fingerprint
from engine.control import Control, Interrupted
from engine.events import SilentSink, Sink, StreamSink
from engine.files import disk_full, is_disk_full
from engine.libraries import versions
from engine.loop import Loop, leave
from engine.memory import ran_out
from engine.protocol import PROTOCOL, Command, EngineError, Event, Exit, FailureCode, Spec
from engine.ranks import Rank
from engine.recipe import Recipe
from engine.task import ARTIFACT, Context, Task
from engine.team import Solo, Team
from engine.trial import Memory, device_memory, measure

TRACEBACK_CHARACTERS = 20_000


def start(spec_path: Path, events_fd: int, control_fd: int | None, rank: Rank | None = None) -> Exit:
    """What a process that was made for one attempt does, whether started fresh or forked from a warm one.

    SIGTERM and SIGINT ask for a stop at the next safe point. The caller exits with the returned code. `rank` is
    this process's place in a run of several; only rank 0 reports and takes commands.
    """
    leads = rank is None or rank.number == 0
    sink = StreamSink(events_fd) if leads else SilentSink()
    control = Control(control_fd if leads else None)
    if rank is not None:
        rank.before_death = sink.close
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: control.request(Command.STOP))
    try:
        spec = Spec.read(spec_path)
    except (ValidationError, OSError) as error:
        sink.emit(Event.FAILED, **_failed(_bad_spec(error), error))
        code = Exit.FAILED
    else:
        code = run(spec, sink, control, rank)
    sink.close()
    return code


def run(spec: Spec, sink: Sink, control: Control, rank: Rank | None = None) -> Exit:
    """Carry out one attempt. Never raises for a failure of the run: it is reported and returned."""
    try:
        with ExitStack() as at_end:
            return _train(spec, sink, control, rank, at_end)
    except Exception as error:
        # The one place where everything ends: recorded as a failure with its reason.
        if rank is not None and not isinstance(error, EngineError):
            rank.excuse()
        failure = _failed(explain(error), error)
        if rank is not None and rank.number:
            rank.fail(failure)
            return Exit.FAILED
        print(failure["traceback"] or f"{failure['message']} {failure['hint']}", file=sys.stderr, flush=True)
        sink.emit(Event.FAILED, **failure)
        return Exit.FAILED


def _train(spec: Spec, sink: Sink, control: Control, rank: Rank | None, at_end: ExitStack) -> Exit:
    if spec.protocol != PROTOCOL:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The spec speaks protocol {spec.protocol}, this engine speaks {PROTOCOL}.",
            "Restart the hub so that all its processes run the same release.",
        )
    kind = recipe(spec.recipe)
    config = check_config(spec.recipe, spec.config)
    checkpoints = Checkpoints(
        spec.work_dir / "checkpoints", spec.keep_checkpoints, fingerprint(spec), sink, reads_only=_follows(rank)
    )
    checkpoint = None if _follows(rank) else checkpoints.newest(spec.resume_limit)
    team: Team = Solo()
    if kind.simulator is False and (rank is not None or spec.processes > 1):
        team, checkpoint = _join(spec, checkpoints, checkpoint)
    started = Memory(), time.monotonic()
    build = load(kind.trainer)
    environment = _environment(spec, kind, team)
    _announce(sink, checkpoint, environment)
    breathe = control.breathe if rank is None else partial(rank.breathe, control.breathe)
    try:
        task = build(Context(spec, config, sink, breathe, team, at_end))
    except Interrupted:
        # Nothing was trained yet, so there is nothing to save. When rank 0 leaves, the others do.
        return leave(control.take() or Command.STOP, checkpoint.step if checkpoint else 0, sink)
    if spec.trial_seconds is not None:
        return _trial(task, spec.trial_seconds, sink, {"device": environment["device"]}, started)
    loop = Loop(task, checkpoints, sink, control, spec.checkpoint_seconds, spec.work_dir / ARTIFACT, team)
    return loop.run(checkpoint)


def _trial(task: Task, seconds: float, sink: Sink, facts: dict[str, Any], started: tuple[Memory, float]) -> Exit:
    """A few steps, and what they cost; nothing is written."""
    memory, began = started
    built = time.monotonic() - began
    found = measure(task, seconds) | {"memory_bytes": memory.peak(), **device_memory(), "build_seconds": built}
    sink.emit(Event.MEASURED, **found, **facts)
    return Exit.COMPLETED


def _follows(rank: Rank | None) -> bool:
    """Whether this process is one of several and not the first."""
    return rank is not None and rank.number > 0


def _join(spec: Spec, checkpoints: Checkpoints, chosen: Checkpoint | None) -> tuple[Team, Checkpoint | None]:
    """Meet the other processes; the checkpoint that rank 0 has chosen, read here too."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != spec.processes:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The spec asks for {spec.processes} processes, and {started} were started.",
            "Start it with 'python -m engine', which starts as many as the spec says.",
        )
    from engine.distributed import join

    team = join(spec)
    step = team.from_leader(chosen.step if chosen else -1)
    if team.rank and step >= 0:
        chosen = checkpoints.at(step)
    return team, chosen


def _announce(sink: Sink, checkpoint: Checkpoint | None, environment: dict[str, Any]) -> None:
    sink.emit(
        Event.STARTED,
        pid=os.getpid(),
        device=environment["device"],
        resumed_from=checkpoint.step if checkpoint else None,
        environment=environment,
    )
    sink.emit(Event.PHASE, phase="preparing")


def _environment(spec: Spec, kind: Recipe, team: Team) -> dict[str, Any]:
    """Where this runs. A simulator needs no torch, so it isn't loaded for this."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": None,
        "device": "none",
        "threads": None,
    }
    if not kind.simulator:
        from engine.device import prepare

        facts |= prepare(spec, team.size) | {"libraries": versions(kind.libraries)}
    if team.size > 1:
        facts["processes"] = team.size
    return facts


def explain(error: BaseException) -> EngineError:
    """The failure that an exception means: what happened, and what to do next."""
    if isinstance(error, EngineError):
        return error
    if is_disk_full(error):
        return disk_full(error)
    if ran_out(error):
        return EngineError(
            FailureCode.OUT_OF_MEMORY,
            "Memory ran out during training.",
            "Use a smaller batch size or a smaller model, or a device with more memory.",
        )
    return EngineError(
        FailureCode.CODE_ERROR,
        f"{type(error).__name__}: {error}",
        "This is an error in the training code; the traceback in the log shows where.",
    )


def _bad_spec(error: Exception) -> EngineError:
    return EngineError(
        FailureCode.BAD_CONFIG,
        f"The spec can't be read: {error}",
        "Correct the spec file; engine/protocol.py describes its fields.",
    )


def _failed(failure: EngineError, error: BaseException) -> dict[str, Any]:
    """`traceback` is empty where the code has no part in it: others were asked, and gave no answer."""
    text = "".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:]
    if failure.code == FailureCode.UNAVAILABLE:
        text = ""
    return {"code": failure.code, "message": failure.message, "hint": failure.hint, "traceback": text}

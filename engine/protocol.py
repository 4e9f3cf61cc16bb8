"""What the engine and whoever runs it say to each other.

A spec goes in as one JSON file, events come out as JSON lines, commands go in as JSON lines, and the
exit code says how it ended. Nothing here imports torch, so the supervisor and the web process can use it.
"""

from __future__ import annotations

import json
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL = 1


class Exit(IntEnum):
    """Exit codes of a trainer; any other code, or a signal, is a crash."""

    COMPLETED = 0
    FAILED = 1
    PAUSED = 3
    CANCELLED = 4
    STOPPED = 5


class Command(StrEnum):
    """What a supervisor may ask of a trainer; each is carried out between two steps."""

    PAUSE = "pause"  # save a checkpoint, leave with Exit.PAUSED
    STOP = "stop"  # the node shuts down: save a checkpoint, leave with Exit.STOPPED
    CANCEL = "cancel"  # leave with Exit.CANCELLED, save nothing
    CHECKPOINT = "checkpoint"  # save a checkpoint and go on


class Event(StrEnum):
    """Kinds of events. The fields of each are listed in `EVENT_FIELDS`."""

    STARTED = "started"
    PHASE = "phase"
    PLAN = "plan"
    STEP = "step"
    EVALUATION = "evaluation"
    SAMPLE = "sample"
    EXAMPLE = "example"
    CHECKPOINT = "checkpoint"
    CHECKPOINT_SKIPPED = "checkpoint_skipped"
    LOG = "log"
    PAUSED = "paused"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    MEASURED = "measured"
    COMPLETED = "completed"
    FAILED = "failed"


EVENT_FIELDS: dict[Event, tuple[str, ...]] = {
    # `resumed_from` is the step of the checkpoint that was loaded, None when the run starts at step 0.
    # `environment` holds python, torch, platform, device name, threads, and the versions of the recipe's libraries.
    Event.STARTED: ("pid", "device", "resumed_from", "environment"),
    Event.PHASE: ("phase",),  # preparing, training, evaluating, saving
    # What the run will do; sent once before the first step.
    Event.PLAN: ("total_steps", "steps_per_epoch", "parameters", "train_items", "validation_items"),
    # After every optimizer step. `step` counts from 1, `epoch` is a float, `time` is Unix time in seconds,
    # `metrics` maps names such as train/loss to a finite float or None, `rate` is examples per second.
    Event.STEP: ("step", "epoch", "time", "metrics", "rate"),
    Event.EVALUATION: ("step", "time", "metrics"),  # names such as validation/loss
    Event.SAMPLE: ("step", "kind", "text"),  # what the model makes at this step
    # What a run that generates made in this step: each candidate with its score, and the best when it is kept.
    Event.EXAMPLE: ("step", "genre", "prompt", "kept", "winner", "reason", "candidates"),
    Event.CHECKPOINT: ("step", "name", "bytes", "seconds"),
    Event.CHECKPOINT_SKIPPED: ("name", "reason"),
    Event.LOG: ("level", "message"),
    Event.PAUSED: ("step",),
    Event.STOPPED: ("step",),
    Event.CANCELLED: ("step",),
    # The last word of a trial, see engine.trial: seconds, bytes, and what the plan says.
    Event.MEASURED: (
        "steps",
        "seconds_per_step",
        "examples_per_step",
        "evaluation_seconds",
        "checkpoint_seconds",
        "checkpoint_bytes",
        "parameters",
        "total_steps",
        "steps_per_epoch",
        "fixed",
        "evaluate_every",
        "train_items",
        "validation_items",
        "memory_bytes",
        "device_memory_bytes",
        "device_memory_total",
        "build_seconds",
        "device",
    ),
    # `metrics` are the final figures; `artifact` lists files of work_dir/artifact: name, sha256, bytes.
    Event.COMPLETED: ("step", "metrics", "artifact"),
    # `code` is one of FailureCode; `message` says what happened, `hint` what to do next.
    Event.FAILED: ("code", "message", "hint", "traceback"),
}


class FailureCode(StrEnum):
    """Why a run ended badly. `jobs` decides from the code whether a retry can help."""

    NOT_FINITE_LOSS = "NOT_FINITE_LOSS"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    DISK_FULL = "DISK_FULL"
    BAD_DATA = "BAD_DATA"
    BAD_CONFIG = "BAD_CONFIG"
    DAMAGED = "DAMAGED"  # files of a model are not what was saved
    CORRUPT_CHECKPOINTS = "CORRUPT_CHECKPOINTS"
    UNAVAILABLE = "UNAVAILABLE"  # what the run asks over the network gave no answer
    SIMULATED = "SIMULATED"
    CODE_ERROR = "CODE_ERROR"
    # Said by the supervisor, not by the engine:
    KILLED = "KILLED"
    CRASHED = "CRASHED"
    WORKER_LOST = "WORKER_LOST"
    TIME_LIMIT = "TIME_LIMIT"
    STALLED = "STALLED"
    TOO_MANY_ATTEMPTS = "TOO_MANY_ATTEMPTS"


class DataSpec(BaseModel):
    """Where a frozen dataset version lies on this machine."""

    model_config = ConfigDict(extra="forbid")

    manifest: Path  # JSON lines: a header, then one item a line
    store: Path  # content-addressed files: <store>/<sha256[:2]>/<sha256>


class Source(BaseModel):
    """A model that a run asks: a version on this machine, or an endpoint that speaks as OpenAI's do."""

    model_config = ConfigDict(extra="forbid")

    title: str  # what people call it
    # A version: the folder of its artifact, and the recipe that made it.
    artifact: Path | None = None
    recipe: str = ""
    # An endpoint: its address up to and with /v1, and the model's name there.
    url: str = ""
    model: str = ""
    key_file: Path | None = None  # holds the key, and is read once: a spec lies open in the job's folder
    timeout_seconds: float = Field(60.0, gt=0, le=3600)
    retries: int = Field(3, ge=0, le=10)
    requests_per_minute: int = Field(0, ge=0, le=1_000_000)  # 0: as many as it takes


class Spec(BaseModel):
    """Everything a trainer needs to know about one attempt."""

    model_config = ConfigDict(extra="forbid")

    protocol: int = PROTOCOL
    job: str
    attempt: int = 1
    recipe: str
    config: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0
    data: DataSpec | None = None
    # A folder that training starts from: a model in Hugging Face format, or the artifact of a version. None: scratch.
    base: Path | None = None
    sources: dict[str, Source] = Field(default_factory=dict)  # by the names that the settings have for them
    allow_internal: list[str] = Field(default_factory=list)  # hosts and networks inside that endpoints may have
    work_dir: Path
    device: str = "auto"  # auto, cpu, cuda, cuda:0 …
    threads: int | None = None  # torch threads; None leaves torch's own choice
    # Above 1 the run is launched under torchrun: each process takes its part of every batch, on a GPU of its own
    # or with its part of the threads. A simulated run takes one process whatever this says.
    processes: int = Field(1, ge=1, le=64)
    # A trial: take steps for so long, say what they cost, and leave without having written anything.
    trial_seconds: float | None = Field(None, gt=0, le=600)
    checkpoint_seconds: float = 30.0  # wall time between two checkpoints
    keep_checkpoints: int = 3
    # Start from the newest valid checkpoint whose step is at most this: what came after it was never recorded,
    # and going on from a later one would leave a gap in the curves. None: the newest valid checkpoint.
    resume_limit: int | None = None

    @classmethod
    def read(cls, path: Path) -> Spec:
        """Read a spec file; pydantic's ValidationError says which field is wrong."""
        return cls.model_validate_json(path.read_text(encoding="utf-8"))


class EngineError(Exception):
    """A failure that can be explained: what happened, and what to do next."""

    def __init__(self, code: FailureCode, message: str, hint: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def encode(event: Event, **fields: Any) -> bytes:
    """One event as a line of JSON. Not-finite floats are an error: the caller sends None instead."""
    return json.dumps({"event": event, **fields}, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any] | None:
    """The event in a line, or None when the line is not an event (a library wrote to the wrong stream)."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("event") not in EVENT_FIELDS:
        return None
    return event

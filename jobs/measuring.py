"""A trial of a run that is not made yet: a few steps on a small sample of its data, on this machine, by `engine.trial`.

What was measured is kept (`jobs.measurements`): estimates use it where no run of the past can be compared with.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import ConflictError, UnavailableError
from common.files import store
from common.paths import run_folder, warm_socket
from datasets.freezing import manifests, sizes
from datasets.freezing.splits import Split
from datasets.gating import gates
from datasets.models import Dataset, DatasetVersion
from engine import catalogue, memory
from engine.launch import Trainer, ping, start_trainer
from engine.protocol import DataSpec, Event, FailureCode, Spec, decode
from jobs import bases, columns, estimates, measurements
from jobs.measurements import Found
from jobs.needs import Needs
from jobs.retries import HINTS
from registry.models import ModelVersion

SECONDS = 8.0  # of steps
LONGEST = 60.0  # of the whole, loading included
ITEMS = 400  # of the sample, at most
CLASSES = 50
LOOKED_AT = 20_000  # lines of a manifest
EVERY = 5  # of a sample without a validation part, each fifth item becomes one


@dataclass(frozen=True)
class Measured:
    """What a trial found. Where it did not run to its end, `message` says why and `hint` what to change."""

    estimate: dict[str, Any]  # as a job keeps it; {} when nothing was measured
    items: int = 0
    seconds_per_step: float | None = None
    memory_bytes: int | None = None
    device_memory_bytes: int | None = None
    checkpoint_bytes: int | None = None
    parameters: int | None = None
    fits: bool = True
    message: str = ""
    hint: str = ""

    def shown(self) -> dict[str, Any]:
        """As the API gives it."""
        return asdict(self)


def measure(
    recipe: str,
    config: Mapping[str, Any],
    *,
    dataset: Dataset | None = None,
    version: DatasetVersion | None = None,
    examples: int | None = None,
    resources: Mapping[str, Any] | None = None,
    seed: int = 0,
    base_version: ModelVersion | None = None,
) -> Measured:
    """Take a few steps with a complete configuration. `examples` are those that the run would be trained on. It starts
    from what the run would start from.

    ConflictError while something else is measured, UnavailableError where no node runs on this machine."""
    if ping(warm_socket()) is None:
        raise UnavailableError(
            "Nothing can be measured: no node runs on this machine.", "Start one with 'make run', then try again."
        )
    columns.check(recipe, config, dataset, version)
    needs = Needs.read(dict(resources or {}))
    with _alone(), _scratch() as folder:
        base = bases.folder_of(recipe, config, base_version)
        data, items = _data(folder, dataset, version, catalogue.recipe(recipe).labelled)
        spec = Spec(
            job="trial", recipe=recipe, config=dict(config), seed=seed, data=data, base=base, work_dir=folder / "work",
            device="auto" if needs.device == "cuda" else "cpu", trial_seconds=SECONDS,
        )  # fmt: skip
        path = folder / "spec.json"
        path.write_text(spec.model_dump_json(), encoding="utf-8")
        last = _follow(start_trainer(path, socket_path=warm_socket()))
    known = sizes.of_version(version) if version else examples
    if last.get("event") != Event.MEASURED:
        return _failed(recipe, config, last)
    return _measured(recipe, config, last, items, known, needs, version.dataset if version else dataset, base_version)


def _measured(
    recipe: str,
    config: Mapping[str, Any],
    found: dict[str, Any],
    items: int,
    examples: int | None,
    needs: Needs,
    dataset: Dataset | None,
    base_version: ModelVersion | None,
) -> Measured:
    """The whole run by its steps, evaluations and loading."""
    trained, seen = max(1, found["train_items"]), max(1, examples or found["train_items"])
    scale = max(1.0, seen / trained) if catalogue.recipe(recipe).labelled else 1.0
    settings_class = catalogue.config_class(recipe).model_validate(dict(config))
    steps = found["total_steps"]
    if seen > trained and not found["fixed"]:
        steps = settings_class.steps_for(seen, found["steps_per_epoch"] * seen / trained) or steps
    looks = 1 + (found["total_steps"] // found["evaluate_every"] if found["evaluate_every"] else 0)
    seconds = found["build_seconds"] * scale + steps * found["seconds_per_step"]
    seconds += looks * found["evaluation_seconds"] * scale
    device = "cuda" if found["device_memory_bytes"] is not None else "cpu"
    taken = found["device_memory_bytes"] or found["memory_bytes"]
    work = estimates.work_of(config, examples)
    start = base_version.pk if base_version else None
    base = measurements.beginning(config, start)
    for size in (work.size, measurements.exact(config, dataset.pk) if dataset else ""):
        if size:
            measurements.keep(recipe, size, device, needs.devices, Found(seconds / work.units, taken), base)
    asked = {"device": device, "devices": needs.devices}
    guess = estimates.estimate(recipe, config, examples=examples, resources=asked, base_version=start)
    room = _room(device, found["device_memory_total"])
    fits = room is None or taken <= room
    problem = {} if fits else _too_large(recipe, config, taken, room or 0)
    return Measured(
        estimate=guess.stored(), items=items, seconds_per_step=found["seconds_per_step"],
        memory_bytes=found["memory_bytes"], device_memory_bytes=found["device_memory_bytes"],
        checkpoint_bytes=found["checkpoint_bytes"], parameters=found["parameters"], fits=fits, **problem,
    )  # fmt: skip


def _failed(recipe: str, config: Mapping[str, Any], last: dict[str, Any]) -> Measured:
    if last.get("code") == FailureCode.OUT_OF_MEMORY:
        return Measured({}, fits=False, message="It needs more memory than there is.", hint=cure(recipe, config))
    message = last.get("message") or "The trial ended without a word."
    return Measured({}, message=message, hint=last.get("hint") or "The log of the node may say why.")


def cure(recipe: str, config: Mapping[str, Any]) -> str:
    """Which settings of a recipe to change when memory runs out."""
    return memory.cure(catalogue.config_class(recipe), config) or HINTS[FailureCode.OUT_OF_MEMORY]


def _too_large(recipe: str, config: Mapping[str, Any], taken: int, room: int) -> dict[str, str]:
    gib = 1 << 30
    message = f"A step takes {taken / gib:.1f} GiB, and the device has {room / gib:.1f} GiB."
    return {"message": message, "hint": cure(recipe, config)}


def _room(device: str, total: int | None) -> int | None:
    """How much memory a run may take: that of the GPU, or of this machine."""
    if device == "cuda":
        return total
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _data(
    folder: Path, dataset: Dataset | None, version: DatasetVersion | None, labelled: bool
) -> tuple[DataSpec | None, int]:
    """A manifest of some items of the data, and their number."""
    if version is not None:
        header = {"modality": version.dataset.modality, "classes": version.classes}
        lines = _spread(manifests.entries(version.content_hash), len(version.classes) if labelled else 0)
    elif dataset is not None:
        header, lines = _unfrozen(dataset, labelled)
    else:
        return None, 0
    parts = {line["split"] for line in lines}
    if "validation" not in parts or "train" not in parts:
        for number, line in enumerate(lines):
            line["split"] = "train" if number % EVERY or len(lines) == 1 else "validation"
    path = folder / "manifest.jsonl"
    text = (json.dumps(line, ensure_ascii=False) + "\n" for line in ({**header, "content_hash": "trial"}, *lines))
    path.write_text("".join(text), encoding="utf-8")
    return DataSpec(manifest=path, store=store().root), len(lines)


def _spread(entries: Iterable[dict[str, Any]], classes: int) -> list[dict[str, Any]]:
    """Some of the items, of each class about as many. Manifests are ordered by content, so the first are any."""
    most = max(4, ITEMS // classes) if classes else ITEMS
    taken: dict[str | None, int] = {}
    found = []
    for number, entry in enumerate(entries):
        if len(found) >= ITEMS or number >= LOOKED_AT:
            break
        if taken.get(entry.get("label"), 0) < most:
            taken[entry.get("label")] = taken.get(entry.get("label"), 0) + 1
            found.append(entry)
    return found


def _unfrozen(dataset: Dataset, labelled: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Some items of a dataset as a manifest would have them."""
    passed = gates.trainable(dataset).order_by("sha256")
    if labelled:
        labels = list(passed.order_by("label").values_list("label", flat=True).distinct()[:CLASSES])
        most = max(4, ITEMS // max(1, len(labels)))
        keys = [key for label in labels for key in passed.filter(label=label).values_list("pk", flat=True)[:most]]
    else:
        keys = list(passed.values_list("pk", flat=True)[:ITEMS])
    with manifests.draft(dataset, Split(0.1, 0.0, 0), only=keys) as draft, draft.manifest() as manifest:
        header = json.loads(manifest.readline())
        return header, [json.loads(line) for line in manifest]


def _follow(trainer: Trainer) -> dict[str, Any]:
    """The last word of a trial, or why there is none; one that takes too long is ended."""
    until = time.monotonic() + LONGEST
    said, last = b"", {}
    try:
        while (left := until - time.monotonic()) > 0:
            ready, _, _ = select.select([trainer.events, trainer.output], [], [], min(left, 0.2))
            for descriptor in ready:
                data = _read(descriptor)
                said += data if descriptor == trainer.events else b""
            *lines, said = said.split(b"\n")
            for event in filter(None, map(decode, lines)):
                if event["event"] in (Event.MEASURED, Event.FAILED):
                    last = event
            if last or (ended := trainer.poll()) is None:
                if last:
                    return last
                continue
            if ended.oom:
                return {"code": FailureCode.OUT_OF_MEMORY}
            if not ready:
                return last
    finally:
        trainer.close()
    hint = "Its steps are long, or its model is slow to load: start the job, its first minutes tell more."
    return {"message": f"It was not ready within {LONGEST:.0f} s, loading included.", "hint": hint}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


@contextmanager
def _alone() -> Iterator[None]:
    """One trial at a time on a machine, since two would measure each other."""
    with open(run_folder() / "trial.lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError("Something else is being measured just now.", "Try again in a minute.") from None
        yield


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = measurements.folder() / f".{uuid.uuid4().hex}"
    (folder / "work").mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)

"""Merging: an adapter and its base become one whole version of the same model, which needs neither.

Whoever asks gets the version at once; it is processing until a worker has merged it. The work is claimed as imports are
(`datasets.claims`), in a process of its own, since models are large, and in it the engine merges in a process without
Django, whose memory and time are limited. Nothing of the version is there before all of it is: files go to the store
first, and the row names them in one transaction.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from accounts import audit
from common.background import enqueue
from common.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError, UnavailableError
from common.files import disk_full_in_words, store
from common.push import publish
from common.references import hold_store
from common.revision import revision
from datasets import claims
from datasets.apart import Processes
from datasets.claims import Claim, LostClaimError
from engine import catalogue
from engine.launch import engine_environment
from engine.processes import OomWatch
from registry import versions
from registry.artifacts import open_file, with_bases
from registry.bases import roots
from registry.models import Merge, ModelVersion

TASK = "registry.tasks.run_merge"
PROCESSES = Processes("run_merge", at_once=1)
CONFIG = "config.json"
MAX_CONFIG_BYTES = 16 << 20
LOOK_SECONDS = 0.5
# Bytes that the merging process may hold for itself (0: as many as the machine has), and how long it may take.
MAX_BYTES = int(os.environ.get("TRAINHUB_MAX_MERGE_BYTES", 0))
MAX_SECONDS = int(os.environ.get("TRAINHUB_MAX_MERGE_SECONDS", 3 * 3600))
SMALLER = "Merge it where there is more memory: python -P -m engine.merge ARTIFACT OUT."


def merge(adapter: ModelVersion, by: AbstractBaseUser) -> Merge:
    """Have an adapter merged into its base; returns the merge, whose `version` is the one that it makes.

    Asked again it is the same merge, with the same version; one that failed is tried again. ConflictError when the
    version is not ready or no adapter, or its recipe can't merge; NotFoundError when it was deleted meanwhile.
    """
    with transaction.atomic():
        # Two who ask at once wait here for each other; the second one finds the first one's.
        if not ModelVersion.objects.select_for_update(no_key=True).filter(pk=adapter.pk).exists():
            raise NotFoundError(f"{adapter} is gone.", "Go back to the list of models.")
        known = Merge.objects.select_related("version__model", "adapter__model").filter(adapter=adapter).first()
        if known is not None and known.version.status == ModelVersion.Status.DELETED:
            known = known.delete() and None  # what it made is gone: it is made anew, as another version
        if known is not None and known.status != Merge.Status.FAILED:
            return known
        if reason := why_not(adapter):
            raise ConflictError(reason, "Choose a ready version that was trained as an adapter (LoRA).")
        version = _again(known) if known else _begun(adapter, by)
        made = Merge.objects.create(adapter=adapter, version=version, created_by=by)
        audit.write(by, "asked to merge", adapter, version=made.version_id)
        enqueue(TASK, made.pk)
        _tell(made)
    return made


def why_not(version: ModelVersion) -> str:
    """Why the version can't be merged into its base, in a sentence; '' when it can. Reads its config.json."""
    kind = catalogue.RECIPES.get(version.model.recipe)
    if not version.usable:
        return f"{version} is {version.standing}: there is nothing to merge."
    if kind is None or kind.merger is None:
        return f"{version} can't be merged: {version.model.recipe} makes no adapters that can be."
    try:
        file, _ = open_file(version, CONFIG)
        with file:
            is_adapter = "adapter" in json.loads(file.read(MAX_CONFIG_BYTES))
    except (ProblemError, OSError, ValueError, TypeError):
        return f"{version} can't be merged: its {CONFIG} is missing or damaged."
    return "" if is_adapter else f"{version} holds a whole model, and no adapter: there is nothing to merge."


def merge_of(version: ModelVersion) -> Merge | None:
    """The merge that the version came from, or that it went into."""
    return getattr(version, "merged_by", None) or getattr(version, "merge", None)


def take_up(merge_id: int) -> None:
    """Have a process of its own do it: models are large, and imports must not wait for them."""
    PROCESSES.start(merge_id)


def next_waiting(after: int) -> int | None:
    """The oldest merge that waits, for the process that ended the one `after`."""
    waiting = Merge.objects.filter(status=Merge.Status.QUEUED).exclude(pk=after)
    return waiting.order_by("pk").values_list("pk", flat=True).first()


def run_merge(merge_id: int) -> Merge | None:
    """Carry a merge out, or begin it again where a dead worker left it; None when there is nothing to do."""
    related = ("version__model", "adapter__model", "adapter__base_version__model")
    claim = claims.take(Merge, merge_id, *related)
    if claim is None:
        return None

    def work() -> None:
        _tell(claim.row)
        with _scratch(claim) as folder, claim.computing():
            artifact = with_bases(claim.row.adapter)  # reads what it lays out, which may take minutes
            said = _engine(claim, artifact, folder / "model")
            _finish(claim, folder / "model", said)

    kept = claims.carry_out(claim, "merge", work, partial(_fail, claim), SMALLER)
    return claim.row if kept else None


def sweep_merges() -> int:
    """Have waiting merges taken that nobody took, and those whose worker died; remove what dead ones left on the disk.
    Returns how many were offered."""
    offered = claims.offer(Merge, TASK)
    with suppress(FileNotFoundError):
        left = [path for path in _root().iterdir() if path.name.split("-")[0].isdigit()]
        open_ones = Merge.objects.filter(pk__in=[int(path.name.split("-")[0]) for path in left], status__in=Merge.OPEN)
        at_work = {f"{pk}-{attempt}" for pk, attempt in open_ones.values_list("pk", "attempt")}
        for path in left:
            if path.name not in at_work:
                shutil.rmtree(path, ignore_errors=True)
    return offered


def _begun(adapter: ModelVersion, by: AbstractBaseUser) -> ModelVersion:
    """The version that is to be made. What it was trained on and with is the adapter's; figures come with the files."""
    return versions.register(
        owner=by,
        model=adapter.model,
        name=adapter.model.name,
        recipe=adapter.model.recipe,
        subject=adapter.model.subject,
        config=adapter.config,
        metrics={},
        artifact=[],
        dataset_version=adapter.dataset_version,
        base_version=adapter,
        source_job_id=None,
        seed=adapter.seed,
        code=revision(),
        environment={},
        status=ModelVersion.Status.PROCESSING,
    )


def _again(failed: Merge) -> ModelVersion:
    """The version of a merge that failed, which is tried again in its place."""
    version = failed.version
    failed.delete()
    ModelVersion.objects.filter(pk=version.pk).update(status=ModelVersion.Status.PROCESSING)
    version.status = ModelVersion.Status.PROCESSING
    return version


def _engine(claim: Claim[Merge], artifact: Path, out: Path) -> dict[str, Any]:
    """What the engine's merger says that it made. A ProblemError says what stopped it."""
    command = [sys.executable, "-P", "-m", "engine.merge", str(artifact), str(out), "--parent", str(os.getpid())]
    environment = engine_environment({"TRAINHUB_MODEL_FOLDERS": ":".join(map(str, roots()))})
    watch = OomWatch()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment) as process:
        try:
            _limit(process.pid)
            answer = _answer(claim, process, watch)
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        raise _killed(-process.returncode, watch)
    try:
        said: dict[str, Any] = json.loads(answer)
    except ValueError:
        raise UnavailableError(
            f"The merge ended with exit code {process.returncode} and no word.", "The log of the hub may say why."
        ) from None
    if process.returncode:
        raise InvalidInputError(said["message"], said["hint"])
    return said


def _limit(pid: int) -> None:
    """Bound what the merging process may hold, and have it go first when the machine runs out of memory."""
    most = MAX_BYTES or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # it may have ended already, or be bound more tightly
        resource.prlimit(pid, resource.RLIMIT_DATA, (most, most))
    with suppress(OSError):  # a container may mount /proc read-only
        Path(f"/proc/{pid}/oom_score_adj").write_text("500", encoding="ascii")


def _answer(claim: Claim[Merge], process: subprocess.Popen[bytes], watch: OomWatch) -> bytes:
    until = time.monotonic() + MAX_SECONDS
    while True:
        try:
            return process.communicate(timeout=LOOK_SECONDS)[0]
        except subprocess.TimeoutExpired:
            watch.look()
            claim.beat()  # LostClaimError: somebody else has it
        if time.monotonic() > until:
            raise UnavailableError(
                f"The merge was ended: it took longer than {MAX_SECONDS / 60:,.0f} minutes.",
                "Allow more by TRAINHUB_MAX_MERGE_SECONDS, or try again when the machine has less to do.",
            )


def _killed(number: int, watch: OomWatch) -> UnavailableError:
    if number == signal.SIGKILL and watch.claim():
        return UnavailableError("The merge was ended by the system because memory ran out.", SMALLER)
    name = signal.Signals(number).name
    if number == signal.SIGABRT:  # how libraries that are not Python's end when they get no memory
        return UnavailableError(f"The merging process ended by {name}, most likely because memory ran out.", SMALLER)
    return UnavailableError(f"The merging process was ended by {name}.", "Try again; the log of the hub may say more.")


def _finish(claim: Claim[Merge], folder: Path, said: dict[str, Any]) -> None:
    """Keep the files, and make the version ready with them."""
    row = claim.row
    files = _kept(folder, said["files"])
    with transaction.atomic():
        hold_store()
        if not all(store().exists(file["sha256"]) for file in files):
            _kept(folder, said["files"])  # the same bytes were deleted elsewhere before we held the store
        claim.finish()
        filled = versions.fill(
            row.version_id, artifact=files, metrics=row.adapter.metrics, code=revision(),
            environment=said["environment"],
        )  # fmt: skip
        if not filled:
            raise LostClaimError
        _tell(row)


def _kept(folder: Path, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Files of the merged model in the store; each must have the hash that it had when it was written."""
    with disk_full_in_words():
        for file in listed:
            if store().add(folder / file["name"]).sha256 != file["sha256"]:
                raise UnavailableError(
                    f"{file['name']} changed on the disk after it was written.", "Have the disk checked."
                )
    return listed


def _fail(claim: Claim[Merge], problem: str, hint: str) -> None:
    row = claim.row
    with transaction.atomic():
        claim.finish(problem, hint)
        ModelVersion.objects.filter(pk=row.version_id).update(status=ModelVersion.Status.FAILED)
        _tell(row)


@contextmanager
def _scratch(claim: Claim[Merge]) -> Iterator[Path]:
    """A folder of this attempt, beside the store so that files can be linked; gone at the end."""
    folder = _root() / f"{claim.row.pk}-{claim.attempt}"
    with disk_full_in_words():
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _root() -> Path:
    return Path(settings.TRAINHUB_HOME) / "merges"


def _tell(row: Merge) -> None:
    publish(f"version.{row.version_id}", f"version.{row.adapter_id}")

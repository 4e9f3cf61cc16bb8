"""Imports: from an upload to items, file by file, with a reason for each file that is set aside.

An import is claimed by one worker, which shows that it lives by a heartbeat. Every batch of files is one
transaction: items, refusals and counters together, so after a crash the next worker goes on at file number
`done`, and nothing is doubled. A worker that was taken for dead can write nothing more (`attempt`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from common.background import enqueue
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from common.push import publish
from datasets import claims, limits
from datasets.claims import LostClaimError
from datasets.creation import create_dataset, delete_dataset
from datasets.gating import governance
from datasets.intake import spool
from datasets.intake.worker import ImportClaim, work
from datasets.models import Dataset, Import
from datasets.names import clean
from datasets.quality import runs
from datasets.sources import apart, origins
from datasets.sources.fetching import fetch

__all__ = ["begin", "create_dataset", "delete_dataset", "run_import", "start_from", "start_import", "sweep_imports"]


TASK = "datasets.tasks.run_import"
OPEN = [Import.Status.QUEUED, Import.Status.RUNNING]
HandOver = Callable[[int], list[dict[str, Any]]]


def start_import(
    dataset: Dataset, by: AbstractBaseUser, files: Iterable[Any], paths: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> Import:  # fmt: skip
    """Keep the files and have them imported in the background; returns the waiting import.

    `files` are Django's uploaded files, or anything with `name` and `chunks()`. The relative path of a file,
    which gives its label, is its entry in `paths`, else its `relative_path`, else its name. `options` say how to
    read them (`datasets.intake.options`).
    InvalidInputError without files, TooLargeError above the limit, UnavailableError when the disk is full.
    """
    made = receive(dataset, by, files, paths, options)
    enqueue(TASK, made.pk)
    return made


def receive(
    dataset: Dataset, by: AbstractBaseUser, files: Iterable[Any], paths: list[str] | None = None,
    options: dict[str, Any] | None = None,
) -> Import:  # fmt: skip
    """What `start_import` does, without asking a worker; for whoever runs the import itself."""
    pack, entries = _packed(list(files), paths)

    def hand_over(import_id: int) -> list[dict[str, Any]]:
        path = pack.hand_over(import_id)
        return [{"name": entry.name, "path": path, "offset": entry.offset, "bytes": entry.bytes} for entry in entries]

    try:
        return begin(dataset, by, hand_over, options=options)
    finally:
        pack.close()


def begin(
    dataset: Dataset, by: AbstractBaseUser, hand_over: HandOver, *,
    options: dict[str, Any] | None = None, origin: dict[str, Any] | None = None,
) -> Import:  # fmt: skip
    """A waiting import, and the dataset marked as processing. `hand_over` gets the new id and returns the sources."""
    with transaction.atomic():
        if not Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).exists():
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        made = Import.objects.create(dataset=dataset, created_by=by, options=options or {}, origin=origin or {})
        made.sources = hand_over(made.pk)
        made.bytes_total = sum(source["bytes"] for source in made.sources)
        made.save(update_fields=["sources", "bytes_total"])
        Dataset.objects.filter(pk=dataset.pk).update(status=Dataset.Status.PROCESSING, updated_at=Now())
        publish(f"import.{made.pk}", f"dataset.{dataset.pk}")
    dataset.status = Dataset.Status.PROCESSING
    return made


def start_from(
    dataset: Dataset, by: AbstractBaseUser, origin: dict[str, Any], options: dict[str, Any] | None = None
) -> Import:
    """Have files from elsewhere fetched and imported in the background; returns the waiting import.

    InvalidInputError for an origin that can't be asked, ConflictError when too many of this person's imports wait.
    """
    kept = origins.checked(origin)
    waiting = Import.objects.filter(created_by=by, status__in=OPEN).exclude(origin={}).count()
    if waiting >= limits.MAX_OPEN_SOURCES:
        raise ConflictError(f"{waiting} imports of yours from elsewhere wait or run already.", "Wait for one to end.")
    made = begin(dataset, by, lambda import_id: [], options=options, origin=kept)
    enqueue(TASK, made.pk)
    return made


def run_import(import_id: int, *, here: bool = False) -> Import | None:
    """Carry an import out, or go on where a dead worker left it.

    What is fetched from elsewhere can take hours, so such an import gets a process of its own, unless this one is
    it (`here`). Returns the ended import; None when there is nothing to do: it ended, another worker has it, another
    process was started for it, or another import into the same dataset runs (its end asks for this one).
    """
    if not here and apart.is_for(import_id):
        apart.PROCESSES.start(import_id)
        return None
    claim = _claim(import_id)
    if claim is None:
        return None

    def bring() -> None:
        if claim.row.is_to_be_fetched:
            fetch(claim)
        work(claim)
        _finish(claim)

    smaller = "Send the files in smaller parts, to find the one that does it."
    if claims.carry_out(claim, "import", bring, partial(_finish, claim), smaller):
        return claim.row
    if not _is_open(import_id):  # cancelled, or deleted with its dataset; what was written since goes, too
        spool.remove(import_id)
    return None


def sweep_imports() -> int:
    """Have waiting imports taken that nobody took, and those whose worker died. Returns how many.

    Cheap enough to be called every few seconds. Also removes what killed processes left among the uploads.
    """
    running = Import.objects.filter(dataset=OuterRef("dataset"), status=Import.Status.RUNNING)
    asked = claims.offer(Import, TASK, but=Q(Exists(running)))
    spool.sweep(_is_open)
    store().sweep()
    return asked


def _is_open(import_id: int) -> bool:
    return Import.objects.filter(pk=import_id, status__in=OPEN).exists()


def _packed(files: list[Any], paths: list[str] | None) -> tuple[spool.Pack, list[spool.Entry]]:
    """All files in one pack: the upload's own when it has one, else a new one. The caller closes it."""
    if not files:
        raise InvalidInputError(
            "There are no files in the request.",
            "Send at least one file in the field 'files'.",
            fields={"files": ["Send at least one file."]},
        )
    if paths and len(paths) != len(files):
        raise InvalidInputError(
            f"There are {len(files)} files and {len(paths)} paths.", "Send one path for each file, in the same order.",
            fields={"paths": ["One for each file."]},
        )  # fmt: skip
    shown = [clean(path) for path in paths or [getattr(file, "relative_path", file.name) or "" for file in files]]
    pack = getattr(files[0], "pack", None)
    if pack is not None and not pack.taken and all(getattr(file, "pack", None) is pack for file in files):
        pack.users += 1
        return pack, [
            spool.Entry(name, file.entry.offset, file.entry.bytes) for name, file in zip(shown, files, strict=True)
        ]
    pack = spool.Pack()
    try:
        return pack, [pack.add(name, file.chunks()) for name, file in zip(shown, files, strict=True)]
    except BaseException:
        pack.close()
        raise


def _claim(import_id: int) -> ImportClaim | None:
    """Make this worker the one that runs the import; None when it may not."""
    taken = claims.take(Import, import_id, "dataset")  # one import into a dataset at a time
    if taken is None:
        return None
    publish(f"import.{import_id}")
    return ImportClaim(taken.row)


def _finish(claim: ImportClaim, problem: str = "", hint: str = "") -> None:
    """End the import, set the dataset's status, and ask for the next import that waits for it.

    `problem` says what stopped it; without it the counters decide between completed and failed.
    """
    row = claim.row
    with transaction.atomic():
        dataset = Dataset.objects.select_for_update(no_key=True).filter(pk=row.dataset_id).first()
        if dataset is None:
            raise LostClaimError
        claim.refresh()
        status, message, hint = (Import.Status.FAILED, problem, hint) if problem else claim.verdict()
        ended: dict[str, Any] = {} if problem else {"bytes_done": F("bytes_total")}
        claim.update(
            status=status, message=message[:500], hint=hint[:500], finished_at=Now(), sources=[], position={},
            origin=origins.without_secrets(row.origin), **ended,
        )  # fmt: skip
        settle(dataset, row, Dataset.Status.FAILED)
    row.refresh_from_db()


def settle(dataset: Dataset, row: Import, empty: str) -> None:
    """What follows when an import has ended, in its transaction, while the dataset is held.

    The dataset gets its status (`empty` when nothing is in it), the next import is asked for, what came in is looked
    at, and nothing of the import stays in the spool.
    """
    left = dataset.imports.filter(status__in=OPEN).order_by("id").values_list("pk", flat=True)
    filled = Dataset.Status.ACTIVE if dataset.item_count else empty
    dataset.status = Dataset.Status.PROCESSING if left else filled
    dataset.save(update_fields=["status", "updated_at"])
    for import_id in left[:1]:
        enqueue(TASK, import_id)
    governance.ask(Dataset.objects.filter(pk=dataset.pk))
    if dataset.status == Dataset.Status.ACTIVE:
        runs.after_import(dataset)
        enqueue("datasets.tasks.make_previews", dataset.pk)
    publish(f"import.{row.pk}", f"dataset.{dataset.pk}")
    transaction.on_commit(lambda: spool.remove(row.pk))

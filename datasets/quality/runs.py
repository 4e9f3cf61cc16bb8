"""Starting and carrying out a quality run: by hand, or by itself after an import."""

from __future__ import annotations

from functools import partial

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from common.background import enqueue
from common.errors import ConflictError, NotFoundError
from common.push import publish
from datasets import claims
from datasets.apart import Processes
from datasets.claims import Claim, LostClaimError
from datasets.models import Dataset, QualityRun

TASK = "datasets.tasks.run_quality"
KEPT = 20  # runs of a dataset that are remembered
LONG = Q(dataset__item_count__gt=500) | Q(dataset__byte_count__gt=10 << 20)  # takes more than some seconds
PROCESSES = Processes("run_quality", at_once=1)


def start_run(dataset: Dataset, by: AbstractBaseUser) -> QualityRun:
    """Have the dataset checked in the background; returns the waiting run.

    ConflictError when it has no items, or is being checked already.
    """
    if not dataset.items.exists():
        raise ConflictError(f"'{dataset.name}' has no items to check.", "Add files to it first.")
    made = _make(dataset, by)
    if made is None:
        raise ConflictError(
            f"'{dataset.name}' is being checked already.", "Wait until that has ended; its page shows how far it is."
        )
    return made


def after_import(dataset: Dataset) -> QualityRun | None:
    """Have it checked because items came in, unless it says otherwise or waits to be checked already."""
    return _make(dataset, None) if dataset.quality_by_itself and dataset.item_count else None


def ask(dataset: Dataset, by: AbstractBaseUser) -> QualityRun | None:
    """Have the dataset checked because of a change; None when it waits to be checked already, or when that is done
    once the run that is at work has ended: it may have looked before the change."""
    made = _make(dataset, by)
    if made is None:
        running = dataset.quality_runs.filter(status=QualityRun.Status.RUNNING)
        if not running.update(again=True) and not _is_open(dataset):
            made = _make(dataset, by)  # the open one ended just now
    return made


def take_up(run_id: int) -> None:
    """Carry a short run out here, and have a process of its own do a long one: comparing many items, or reading a
    large table, would keep the imports of others waiting."""
    if QualityRun.objects.filter(LONG, pk=run_id).exists():
        PROCESSES.start(run_id)
    else:
        run_quality(run_id)


def next_long(after: int) -> int | None:
    """The oldest long run that waits, for the process that ended the run `after`; it ends with the hub's last one."""
    waiting = QualityRun.objects.filter(LONG, status=QualityRun.Status.QUEUED).exclude(pk=after)
    return waiting.order_by("pk").values_list("pk", flat=True).first()


def run_quality(run_id: int, *, alone: bool = False) -> QualityRun | None:
    """Carry a run out, or begin again where a dead worker left it; what that one measured is kept.

    Returns the ended run; None when there is nothing to do, or when it gave way to other work, which it never does
    `alone`, in a process of its own.
    """
    from datasets.quality.work import GiveWayError, Look

    claim = claims.take(QualityRun, run_id, "dataset")
    if claim is None:
        return None

    def look() -> None:
        try:
            worth, summary = Look(claim, gives_way=not alone).all()
        except GiveWayError:
            _give_way(claim)
            raise LostClaimError from None
        _end(claim, score=worth, summary=summary)

    smaller = "Set large or odd items aside, then check again."
    kept = claims.carry_out(claim, "check", look, partial(_end, claim), smaller)
    return claim.row if kept else None


def sweep_quality() -> int:
    """Have waiting runs taken that nobody took, and those whose worker died. Returns how many."""
    return claims.offer(QualityRun, TASK)


def change(dataset: Dataset, by: AbstractBaseUser, *, by_itself: bool) -> None:
    """Say whether the dataset is checked by itself after each import."""
    Dataset.objects.filter(pk=dataset.pk).update(quality_by_itself=by_itself)
    dataset.quality_by_itself = by_itself
    publish(f"dataset.{dataset.pk}")


def _make(dataset: Dataset, by: AbstractBaseUser | None) -> QualityRun | None:
    """A waiting run; None when one is open."""
    try:
        with transaction.atomic():
            made = QualityRun.objects.create(dataset=dataset, created_by=by, phase="Waiting for a worker")
    except IntegrityError as error:
        if not Dataset.objects.filter(pk=dataset.pk).exists():
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.") from error
        return None
    with transaction.atomic():
        enqueue(TASK, made.pk)
        publish(f"dataset.{dataset.pk}")
    return made


def _give_way(claim: Claim[QualityRun]) -> None:
    """Back to the end of the background queue. It was no crash, so it does not count as an attempt."""
    with transaction.atomic():
        claim.update(status=QualityRun.Status.QUEUED, attempt=F("attempt") - 1, phase="Waiting for other work")
        enqueue(TASK, claim.row.pk)
        publish(f"dataset.{claim.row.dataset_id}")


def _end(claim: Claim[QualityRun], problem: str = "", hint: str = "", **values: object) -> None:
    """End the run; begin another when items came in while it was at work, or something changed."""
    dataset = claim.row.dataset
    with transaction.atomic():
        claim.finish(problem, hint, phase="", **values, **({} if problem else {"done": F("total")}))
        old = dataset.quality_runs.order_by("-id").values_list("pk", flat=True)[KEPT:]
        QualityRun.objects.filter(pk__in=list(old)).delete()
        publish(f"dataset.{dataset.pk}")
    last = claim.row.summary.get("last_item", 0)
    dataset.refresh_from_db()
    if problem or dataset.status != Dataset.Status.ACTIVE:
        return
    if claim.row.again:
        _make(dataset, None)
    elif dataset.items.filter(pk__gt=last, aside="").exists():
        after_import(dataset)


def _is_open(dataset: Dataset) -> bool:
    return dataset.quality_runs.filter(status__in=[QualityRun.Status.QUEUED, QualityRun.Status.RUNNING]).exists()

"""The job of a retraining: made once, whoever tries and whatever dies; what is in its way is waited for.

The dataset is filled and frozen before anything is locked, since both may take a while and can be done again. One
transaction then makes the job and names it.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from common.background import enqueue
from common.errors import ConflictError, ProblemError
from common.outages import database_is_away
from datasets.models import Dataset, DatasetVersion
from jobs import blueprints
from jobs.lifecycle import record
from jobs.models import Job
from jobs.schedules import database_now
from performance.models import Retraining
from performance.retraining import collecting, requests, story

log = logging.getLogger(__name__)

TASK = "performance.tasks.start_retraining"
RETRY = timedelta(seconds=15)
HEAVY = timedelta(minutes=5)  # a worker that freezes much data is given so long before another is asked
ITEMS_AT_ONCE = 5_000  # a dataset of so many is frozen in a fraction of a second
GIVEN_UP = timedelta(days=7)
Status = Retraining.Status


def take_up(retraining_id: int) -> None:
    """Make the job now, or have a worker do it where the data are many."""
    row = waiting().filter(pk=retraining_id).first()
    if row is None:
        return
    if _is_heavy(row):
        enqueue(TASK, row.pk)
        return
    start(row.pk)


def waiting() -> Any:
    """Retrainings whose job is still to be made, and may be tried now."""
    return _unmade().filter(Q(retry_at__isnull=True) | Q(retry_at__lte=Now()))


def _unmade() -> Any:
    rows = Retraining.objects.select_related("model__owner", "champion__dataset_version", "policy")
    return rows.filter(status=Status.QUEUED, job__isnull=True)


def start(retraining_id: int) -> Job | None:
    """Make the job; None when it is made already, or not now. What can't be used at all ends the retraining."""
    row = _unmade().filter(pk=retraining_id).first()
    if row is None:
        return None
    try:
        if made := _collected(row):
            raise ConflictError(f"{made} predictions whose truth is known are being added to the dataset first.")
        request = requests.request_of(row)
        return _begin(row, request, *requests.freeze(row, request))
    except ConflictError as problem:  # passes by itself: a busy model, a limit, an import that is at work
        _put_off(row, problem)
    except ProblemError as problem:
        _fail(row, problem.message, problem.hint)
    except (OperationalError, InterfaceError) as error:
        if database_is_away(error):
            raise  # the sweep tries again
        log.exception("retraining %s can't start now", retraining_id)
        _put_off(row, ConflictError("The database took too long.", "It is tried again."))
    except Exception as error:
        log.exception("retraining %s can't start", retraining_id)
        _fail(row, f"An error in TrainHub: {type(error).__name__}.", "The log of the hub says more.")
    return None


def sweep() -> int:
    """Try again for those whose job is still to be made; how many jobs were made. Much data are frozen by a worker of
    their own, so that nothing else waits for that."""
    made = 0
    for row in list(waiting().order_by("pk")[:50]):
        if not _is_heavy(row):
            made += start(row.pk) is not None
        elif waiting().filter(pk=row.pk).update(retry_at=Now() + HEAVY):  # one of several nodes
            enqueue(TASK, row.pk)
    return made


@transaction.atomic
def _begin(seen: Retraining, request: dict[str, Any], frozen: DatasetVersion | None, said: str) -> Job | None:
    """Make the job on these data, of which there is something to be `said`, or not."""
    rows = Retraining.objects.select_for_update(of=("self",), skip_locked=True).select_related("model__owner")
    row = rows.filter(pk=seen.pk, status=Status.QUEUED, job__isnull=True).first()
    if row is None:
        return None
    kept = {key: value for key, value in request.items() if key not in requests.DATA}
    if frozen is not None:
        kept["dataset_version"] = frozen.pk
    job = blueprints.start(row.model.owner, kept, database_now())
    details = {
        "retraining": row.pk, "trigger": row.kind, "evidence": row.evidence, "reason": row.reason,
        "asked_by": row.asked_by.get_username() if row.asked_by else "",
        "approved_by": row.approved_by.get_username() if row.approved_by else "", "champion": row.champion_id,
    }  # fmt: skip
    why = f"Retraining {row.pk} of {row.model}. {row.reason}".strip()
    record(job, "triggered", actor=row.asked_by, message=why[:500], details=details)
    data = f" on {frozen}" if frozen else ""
    story.move(
        row, Status.QUEUED, "job_made", f"Job {job.pk} '{job.name}' was made{data}. {said}".strip(),
        expected=[Status.QUEUED],
        details={"job": job.pk, "dataset_version": frozen.pk if frozen else None}, job=job,
        hint=f"Follow it at /jobs/{job.pk}.",
    )  # fmt: skip
    return job


def _collected(row: Retraining) -> int:
    """How many labelled predictions were put on their way into the dataset just now."""
    if not row.plan.get("collect"):
        return 0
    key = requests.request_of(row).get("dataset")
    dataset = Dataset.objects.filter(pk=key).first() if key else None
    return collecting.collect_labelled(row.model, dataset) if dataset else 0


def _is_heavy(row: Retraining) -> bool:
    if row.plan.get("collect"):
        return True
    frozen = row.champion.dataset_version if row.champion else None
    key = row.plan.get("dataset") or (frozen.dataset_id if frozen else None)
    items = Dataset.objects.filter(pk=key).values_list("item_count", flat=True).first()
    return (items or 0) > ITEMS_AT_ONCE


def _put_off(row: Retraining, problem: ProblemError) -> None:
    if row.waits_since < database_now() - GIVEN_UP:
        _fail(row, f"It could not start for {GIVEN_UP.days} days: {problem.message}", problem.hint)
        return
    Retraining.objects.filter(pk=row.pk, status=Status.QUEUED, job__isnull=True).update(retry_at=Now() + RETRY)
    story.say(row, problem.message, problem.hint)


def _fail(row: Retraining, message: str, hint: str) -> None:
    try:
        story.move(row, Status.FAILED, "failed", message, hint=hint, expected=[Status.QUEUED])
    except story.MovedOnError:
        log.info("retraining %s was moved on by someone else", row.pk)

"""Where a job's attempts work: specs, checkpoints, the artifact before it is stored."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.db import transaction

from jobs.models import Checkpoint, Job
from jobs.states import Status

TRASH = ".trash-"
# A failed job keeps its folder: a retry goes on from its last checkpoint.
DONE = frozenset({Status.COMPLETED, Status.CANCELLED})


def work_folder(job_id: int) -> Path:
    """The folder of one job under TRAINHUB_HOME; exclusively its own."""
    return _root() / str(int(job_id))


def discard_work(job_id: int) -> None:
    """Remove what an ended job left on disk. Safe to repeat; nothing is touched when the job runs again meanwhile.

    Nor while someone holds its row: the sweep comes back, and must not wait for that.
    """
    with transaction.atomic():
        rows = Job.objects.select_for_update(skip_locked=True, of=("self",))
        job = rows.filter(pk=job_id, status__in=DONE).first()
        trash = throw_away(job_id) if job else None
    if trash:
        shutil.rmtree(trash, ignore_errors=True)


def discard_completed(job_id: int) -> None:
    """Remove the folder of a job that has completed. It can't run again, so nothing is locked for this."""
    shutil.rmtree(work_folder(job_id), ignore_errors=True)


def hide_checkpoints(job_id: int) -> None:
    """Say that the checkpoints of a job are not there any more."""
    Checkpoint.objects.filter(job_id=job_id, available=True).update(available=False)


def throw_away(job_id: int) -> Path | None:
    """Take a job's folder out of its place, in a transaction that holds the job's row; the caller deletes it.

    A folder that is renamed can't take along what a later attempt writes. None when there is no folder.
    """
    hide_checkpoints(job_id)
    trash = _root() / f"{TRASH}{int(job_id)}-{uuid.uuid4().hex}"
    try:
        work_folder(job_id).rename(trash)
    except FileNotFoundError:
        return None
    return trash


def sweep_folders() -> None:
    """Remove the folders of ended jobs, and thrown-away ones, that a process left when it died."""
    with suppress(FileNotFoundError):
        names = [entry.name for entry in _root().iterdir()]
        for name in names:
            if name.startswith(TRASH):
                shutil.rmtree(_root() / name, ignore_errors=True)
        jobs = [int(name) for name in names if name.isdigit()]
        for job_id in Job.objects.filter(pk__in=jobs, status__in=DONE).values_list("pk", flat=True):
            discard_work(job_id)


def _root() -> Path:
    return Path(settings.TRAINHUB_HOME) / "jobs"

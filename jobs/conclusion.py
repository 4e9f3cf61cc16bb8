"""Turning the end of a trainer into the next state of its job. Safe to repeat after a lost answer."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from common.errors import ProblemError
from common.files import store
from common.references import hold_store
from common.revision import revision
from common.wording import storable
from engine import catalogue
from engine.processes import Ended
from engine.protocol import Command, Event, Exit, FailureCode
from jobs.control import note_end
from jobs.folders import discard_work, work_folder
from jobs.lifecycle import StaleAttemptError, end_attempt, locked, move
from jobs.models import Attempt, Job
from jobs.queue import knock_on_commit
from jobs.states import Request, Status
from registry import versions

RUNNING = frozenset({Status.RUNNING})
# What trying again, from the last checkpoint, can't help.
FINAL_HINTS = {
    FailureCode.OUT_OF_MEMORY: "Choose a smaller batch size or model, or a device with more memory, then retry.",
    FailureCode.TOO_MANY_ATTEMPTS: "See the log for what the attempts have in common; change the settings, then retry.",
}


@dataclass(frozen=True)
class Ending:
    """How a trainer ended, and what it said last."""

    ended: Ended
    event: dict[str, Any] = field(default_factory=dict)
    asked: Command | None = None
    lease_lost: bool = False
    environment: dict[str, Any] = field(default_factory=dict)


def conclude(job_id: int, number: int, ending: Ending) -> None:
    """Move the job on. Raises StaleAttemptError when the attempt had lost the job before."""
    if _concluded(job_id, number):
        return
    kind = ending.event.get("event")
    if kind == Event.COMPLETED and ending.ended.code == Exit.COMPLETED:
        _complete(job_id, number, ending)
    elif kind == Event.PAUSED and ending.ended.code == Exit.PAUSED:
        _pause(job_id, number, ending.event)
    elif kind == Event.CANCELLED or ending.asked == Command.CANCEL:
        _cancel(job_id, number)
    elif kind == Event.STOPPED:
        reason = "The database was away too long." if ending.lease_lost else "Its node stops."
        requeue(job_id, number, Attempt.Outcome.STOPPED, reason)
    elif kind == Event.FAILED:
        fail(job_id, number, **{name: ending.event.get(name, "") for name in ("code", "message", "hint", "traceback")})
    else:
        _crashed(job_id, number, ending)


@transaction.atomic
def requeue(job_id: int, number: int, outcome: Attempt.Outcome, reason: str) -> Job:
    """Back into the queue, before all others; fails the job when its attempts get nowhere."""
    job = _owned(job_id, number)
    wasted = job.attempts_since_progress + (0 if outcome == Attempt.Outcome.STOPPED else 1)
    if job.request == Request.CANCEL:
        return _cancel(job_id, number, outcome)
    if wasted >= settings.MAX_ATTEMPTS:
        return fail(
            job_id,
            number,
            code=FailureCode.TOO_MANY_ATTEMPTS,
            message=f"{wasted} attempts in a row ended without getting further. The last: {reason}",
            hint=FINAL_HINTS[FailureCode.TOO_MANY_ATTEMPTS],
            outcome=outcome,
        )
    end_attempt(job, number, outcome, reason)
    if job.request == Request.PAUSE:
        return move(job_id, Status.PAUSED, kind="paused", expected=RUNNING, attempt=number, message=reason)
    job = move(
        job_id,
        Status.QUEUED,
        kind="interrupted",
        expected=RUNNING,
        attempt=number,
        message=reason,
        changes={"interrupted": True, "attempts_since_progress": wasted},
    )
    knock_on_commit()
    return job


@transaction.atomic
def fail(
    job_id: int,
    number: int,
    *,
    code: str,
    message: str,
    hint: str = "",
    traceback: str = "",
    outcome: Attempt.Outcome = Attempt.Outcome.FAILED,
) -> Job:
    """End the job badly, in words."""
    job = _owned(job_id, number)
    if job.request == Request.CANCEL:
        return _cancel(job_id, number, outcome)
    end_attempt(job, number, outcome, storable(message))
    job = move(
        job_id,
        Status.FAILED,
        kind="failed",
        expected=RUNNING,
        attempt=number,
        message=storable(message),
        details={"code": code},
        changes={
            "failure_code": code or FailureCode.CODE_ERROR,
            "failure_message": storable(message) or "The trainer failed without a word.",
            "failure_hint": storable(hint),
            "failure_traceback": storable(traceback),
        },
    )
    note_end(job)
    return job


def _complete(job_id: int, number: int, ending: Ending) -> None:
    folder, listed = work_folder(job_id) / "artifact", ending.event["artifact"]
    try:
        files = _keep_artifact(folder, listed)
    except (OSError, ProblemError) as error:
        reason = getattr(error, "message", str(error))
        hint = "Free some space, or check the disk, then retry: it goes on from the last checkpoint."
        fail(job_id, number, code=FailureCode.DISK_FULL, message=f"The result could not be stored: {reason}", hint=hint)
        return
    with transaction.atomic():
        hold_store()
        if not all(store().exists(file["sha256"]) for file in files):
            _keep_artifact(folder, listed)  # the same bytes were deleted elsewhere before we held the store
        job = _owned(job_id, number)
        version = _register(job, files, ending)
        end_attempt(job, number, Attempt.Outcome.COMPLETED)
        job = move(
            job_id,
            Status.COMPLETED,
            kind="completed",
            expected=RUNNING,
            attempt=number,
            message=f"Made {version}." if version else "",
            changes={
                "metrics": ending.event["metrics"],
                "model_version": version,
                "current_step": ending.event["step"],
                "environment": ending.environment,
            },
        )
        note_end(job)
    discard_work(job_id)


def _register(job: Job, files: list[dict[str, Any]], ending: Ending) -> Any:
    """The model version of a finished job; None for a simulated one, which trains nothing.

    Its figures are those of its weights, which are the last ones; the best on the way stay with the job.
    """
    if catalogue.recipe(job.recipe).simulator:
        return None
    metrics = {name: value for name, value in ending.event["metrics"].items() if not name.startswith("best/")}
    return versions.register(
        owner=job.owner,
        model=job.model,
        name=job.name,
        recipe=job.recipe,
        subject=job.subject,
        config=job.config,
        metrics=metrics,
        artifact=files,
        dataset_version=job.dataset_version,
        base_version=job.base_version,
        source_job_id=job.pk,
        seed=job.seed,
        code=revision(),
        environment=ending.environment,
    )


def _keep_artifact(folder: Path, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Move the trained files into the store; each must have the hash that the trainer saw when it wrote it."""
    kept = []
    for file in listed:
        stored = store().add(folder / file["name"])
        if stored.sha256 != file["sha256"]:
            raise OSError(f"{file['name']} changed on disk after it was written")
        kept.append({"name": file["name"], "sha256": stored.sha256, "bytes": stored.bytes})
    return kept


@transaction.atomic
def _pause(job_id: int, number: int, event: dict[str, Any]) -> Job:
    job = _owned(job_id, number)
    if job.request == Request.CANCEL:
        return _cancel(job_id, number)
    end_attempt(job, number, Attempt.Outcome.PAUSED)
    message = f"At step {event['step']}."
    return move(
        job_id, Status.PAUSED, kind="paused", expected=RUNNING, attempt=number, actor=job.requested_by, message=message
    )


@transaction.atomic
def _cancel(job_id: int, number: int, outcome: Attempt.Outcome = Attempt.Outcome.CANCELLED) -> Job:
    job = _owned(job_id, number)
    end_attempt(job, number, outcome)
    job = move(job_id, Status.CANCELLED, kind="cancelled", expected=RUNNING, attempt=number, actor=job.requested_by)
    note_end(job)
    transaction.on_commit(lambda: discard_work(job_id), robust=True)
    return job


def _crashed(job_id: int, number: int, ending: Ending) -> None:
    ended = ending.ended
    if ended.oom:
        message = "The trainer was ended by the system because memory ran out."
        hint = FINAL_HINTS[FailureCode.OUT_OF_MEMORY]
        fail(
            job_id, number, code=FailureCode.OUT_OF_MEMORY, message=message, hint=hint, outcome=Attempt.Outcome.CRASHED
        )
        return
    if ending.lease_lost:
        requeue(job_id, number, Attempt.Outcome.LOST, "The database was away too long.")
        return
    if ended.signal:
        reason = f"The trainer was killed by {signal.Signals(ended.signal).name}."
    else:
        reason = f"The trainer left with exit code {ended.code} and no word."
    requeue(job_id, number, Attempt.Outcome.CRASHED, reason)


def _owned(job_id: int, number: int) -> Job:
    job = locked(job_id)
    if job.attempt_number != number or job.status != Status.RUNNING:
        raise StaleAttemptError(f"attempt {number} of job {job_id} is over")
    return job


def _concluded(job_id: int, number: int) -> bool:
    """Whether this attempt's end is already written: the answer of an earlier commit was lost."""
    return Attempt.objects.filter(job_id=job_id, number=number, ended_at__isnull=False).exists()

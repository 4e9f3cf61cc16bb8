"""Turning the end of a trainer into the next state of its job. Safe to repeat after a lost answer."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from common import wording
from common.errors import ProblemError
from common.files import store
from common.references import hold_store
from common.revision import revision
from common.wording import storable
from engine import catalogue
from engine.processes import Ended
from engine.protocol import Command, Event, Exit, FailureCode
from jobs import nodes, reproducing, retries
from jobs.folders import discard_completed, discard_work, hide_checkpoints, work_folder
from jobs.leases import held
from jobs.lifecycle import StaleAttemptError, end_attempt, locked, move
from jobs.models import Attempt, Job
from jobs.outbox import note_end
from jobs.places import old_place
from jobs.queue import knock_on_commit
from jobs.search import running
from jobs.states import Request, Status
from registry import versions

RUNNING = frozenset({Status.RUNNING})
# Signals that someone sends; any other comes from what the program did.
DELIBERATE = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})


@dataclass(frozen=True)
class Limited:
    """A limit of time that a run reached."""

    code: FailureCode  # TIME_LIMIT or STALLED
    message: str
    hint: str


@dataclass(frozen=True)
class Ending:
    """How a trainer ended, and what it said last."""

    ended: Ended
    event: dict[str, Any] = field(default_factory=dict)
    asked: Command | None = None
    lease_lost: bool = False
    overdue: bool = False  # it did not obey in time, and its supervisor ended it
    limit: Limited | None = None  # the limit for which it was ended
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
    elif ending.limit:
        limit = ending.limit
        fail(job_id, number, code=limit.code, message=limit.message, hint=limit.hint)
    elif kind == Event.STOPPED:
        _stopped(job_id, number, ending)
    elif kind == Event.FAILED:
        said = {name: ending.event.get(name, "") for name in ("code", "message", "hint", "traceback")}
        if retries.can_help(said["code"]):
            requeue(job_id, number, Attempt.Outcome.FAILED, said["message"], said["code"])
        else:
            fail(job_id, number, **said)
    elif ending.overdue:
        _overdue(job_id, number)
    else:
        _crashed(job_id, number, ending)


@transaction.atomic
def requeue(job_id: int, number: int, outcome: Attempt.Outcome, reason: str, code: str = "") -> Job:
    """Back into the queue, before all others, at once or after a while; fails a job whose attempts get nowhere.

    `code` says why the attempt ended; empty when it stopped in good order, which is nobody's failure.
    """
    job = _owned(job_id, number)
    reason = storable(reason)
    wasted = job.attempts_since_progress + (1 if code else 0)
    if job.request == Request.CANCEL:
        return _cancel(job_id, number, outcome)
    if wasted >= settings.MAX_ATTEMPTS:
        final = FailureCode(code) if code in retries.TELLING else FailureCode.TOO_MANY_ATTEMPTS
        return fail(
            job_id,
            number,
            code=final,
            message=f"{wasted} attempts in a row ended without getting further. The last: {reason}",
            hint=retries.HINTS[final],
            outcome=outcome,
        )
    _end(job, number, outcome, reason, code)
    if job.request == Request.PAUSE:
        return move(
            job_id,
            Status.PAUSED,
            kind="paused",
            expected=RUNNING,
            attempt=number,
            actor=job.requested_by,
            message=reason,
            changes={"attempts_since_progress": wasted},
        )
    return _again(job, number, reason, code, wasted)


def _again(job: Job, number: int, reason: str, code: str, wasted: int) -> Job:
    """Queue the job for another attempt, or let it wait first."""
    wait = retries.delay(wasted, code) if code else timedelta()
    changes: dict[str, Any] = {"interrupted": True, "attempts_since_progress": wasted}
    if job.request == Request.PREEMPT:  # it was to give way, so it must not come before the one it made room for
        changes |= {"interrupted": False, "position": old_place(job)}
    to = Status.QUEUED
    if wait:
        to = Status.PENDING
        seconds = wait.total_seconds()
        changes["not_before"] = Now() + wait
        changes["waiting_for"] = f"Is tried again {wording.duration(seconds)} after attempt {number}: {reason}"[:300]
    job = move(
        job.pk,
        to,
        kind="interrupted",
        expected=RUNNING,
        attempt=number,
        message=reason,
        details={"code": code, "wait_seconds": wait.total_seconds()} if code else {},
        changes=changes,
    )
    knock_on_commit()
    return job


@transaction.atomic
def _stopped(job_id: int, number: int, ending: Ending) -> Job:
    """It saved a checkpoint and left because it was told to: its node stops, it gives way, or the lease was lost."""
    job = _owned(job_id, number)
    if job.request == Request.PAUSE:
        return _pause(job_id, number, ending.event)  # asked for after it was told to stop: that is saved all the same
    if job.request != Request.PREEMPT:
        reason = "The database was away too long." if ending.lease_lost else "Its node stops."
        return requeue(job_id, number, Attempt.Outcome.STOPPED, reason)
    step = ending.event["step"]
    end_attempt(job, number, Attempt.Outcome.PREEMPTED)
    job = move(
        job_id,
        Status.QUEUED,
        kind="preempted",
        expected=RUNNING,
        attempt=number,
        actor=job.requested_by,
        message=f"Gave way at step {step:,} to a job of higher priority.",
        changes={"position": old_place(job)},
    )
    knock_on_commit()
    return job


@transaction.atomic
def _overdue(job_id: int, number: int) -> Job:
    """It was asked to leave and was ended when it took too long, which is no failure of job or node."""
    left = {Request.PAUSE: Attempt.Outcome.PAUSED, Request.PREEMPT: Attempt.Outcome.PREEMPTED}
    outcome = left.get(Request(_owned(job_id, number).request), Attempt.Outcome.STOPPED)
    reason = "It was asked to stop, did not in time, and was ended: it goes on from its last checkpoint."
    return requeue(job_id, number, outcome, reason)


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
    _end(job, number, outcome, storable(message), code)
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
    folder, listed = work_folder(job_id) / "artifact", _kept(job_id, ending)
    try:
        with held(job_id, number):
            files = _keep_artifact(folder, listed)
    except (OSError, ProblemError) as error:
        reason = f"The result could not be stored: {getattr(error, 'message', str(error))}"
        requeue(job_id, number, Attempt.Outcome.FAILED, reason, FailureCode.DISK_FULL)
        return
    with transaction.atomic():
        hold_store()
        if not all(store().exists(file["sha256"]) for file in files):
            _keep_artifact(folder, listed)  # the same bytes were deleted elsewhere before we held the store
        job = _owned(job_id, number)
        version = _register(job, files, ending)
        nodes.note_end(job, number, "")
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
                "validation_loss": ending.event["metrics"].get("validation/loss"),
                "environment": ending.environment,
            },
        )
        hide_checkpoints(job_id)
        note_end(job)
    discard_completed(job_id)


def _kept(job_id: int, ending: Ending) -> list[dict[str, Any]]:
    """The files of the result; none where no version will name them."""
    job = Job.objects.only("recipe").get(pk=job_id)
    return ending.event["artifact"] if _makes_version(job.recipe) and not reproducing.is_one(job) else []


def _makes_version(recipe: str) -> bool:
    """A simulated run trains nothing, and one that generates leaves examples."""
    kind = catalogue.recipe(recipe)
    return not kind.simulator and kind.makes == "model"


def _register(job: Job, files: list[dict[str, Any]], ending: Ending) -> Any:
    """The model version of a finished job; None for one that makes none, and for a trial of a search, of which the best
    becomes one.

    Its figures are those of its weights, which are the last or the best ones; the best on the way stay with the job.
    """
    if running.keep(job, files, ending.event["metrics"]) or not _makes_version(job.recipe):
        return None
    if reproducing.is_one(job):
        reproducing.note_end(job, ending.event["artifact"], ending.event["metrics"], ending.environment)
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
        hint = retries.HINTS[FailureCode.OUT_OF_MEMORY]
        fail(
            job_id, number, code=FailureCode.OUT_OF_MEMORY, message=message, hint=hint, outcome=Attempt.Outcome.CRASHED
        )
    elif ending.lease_lost:
        reason = "The database was away too long."
        requeue(job_id, number, Attempt.Outcome.LOST, reason, FailureCode.WORKER_LOST)
    elif ended.signal:
        killed = ended.signal in DELIBERATE
        reason = f"The trainer {'was killed by' if killed else 'crashed with'} {signal.Signals(ended.signal).name}."
        requeue(job_id, number, Attempt.Outcome.CRASHED, reason, FailureCode.KILLED if killed else FailureCode.CRASHED)
    else:
        reason = f"The trainer left with exit code {ended.code} and no word."
        requeue(job_id, number, Attempt.Outcome.CRASHED, reason, FailureCode.CRASHED)


def _end(job: Job, number: int, outcome: Attempt.Outcome, reason: str, code: str) -> None:
    """Close an attempt that ended badly, or was stopped, and note what that says of its node."""
    nodes.note_end(job, number, code)
    end_attempt(job, number, outcome, reason, code)


def _owned(job_id: int, number: int) -> Job:
    job = locked(job_id)
    if job.attempt_number != number or job.status != Status.RUNNING:
        raise StaleAttemptError(f"attempt {number} of job {job_id} is over")
    return job


def _concluded(job_id: int, number: int) -> bool:
    """Whether this attempt's end is already written: the answer of an earlier commit was lost."""
    return Attempt.objects.filter(job_id=job_id, number=number, ended_at__isnull=False).exists()

"""What becomes of a retraining after its job was made: watched until it ends, compared, tested, promoted or not.

Each step looks at the rows as they are and moves on under a guard, so it can be taken by any worker, late, or twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from common.background import enqueue
from common.errors import ProblemError
from common.outages import database_is_away
from jobs.models import Job
from jobs.states import ACTIVE, TERMINAL
from jobs.states import Status as JobStatus
from performance.models import Experiment, Retraining, RetrainingEvent, RetrainingPolicy
from performance.retraining import next_steps, outcomes, reporting, story
from performance.rounds import Rounds
from registry.models import Alias, Model, ModelVersion
from registry.models.aliases import Name

log = logging.getLogger(__name__)

_rounds = Rounds()
Status = Retraining.Status
BEFORE = (Status.QUEUED, Status.TRAINING)


def sweep() -> int:
    """Take open retrainings that something has happened to as far as they go now, some hundred in a round; how many
    were looked at. Those whose job was tried again are open again."""
    for row in _retried():
        _resume(row)
    found = _rounds.next(_moving().only("pk"))
    for row in found:
        advance(row.pk)
    return len(found)


def _moving() -> QuerySet[Retraining]:
    """Open ones that can go on; the others wait for a job, a worker, a test or a person."""
    champion = Alias.objects.filter(model=OuterRef("model"), name=Name.CHAMPION, version=OuterRef("challenger"))
    made = RetrainingEvent.objects.filter(retraining=OuterRef("pk"), kind="job_made")
    running = Experiment.objects.filter(pk=OuterRef("experiment_id"), status=Experiment.Status.RUNNING)
    late = Q(waits_since__lt=Now() - outcomes.UNDECIDED)
    job = Q(job__status__in=TERMINAL) | Q(job__status=JobStatus.RUNNING, status=Status.QUEUED)
    refused = next_steps.turned_down(OuterRef("pk"), OuterRef("waits_since"))
    settled = Exists(champion) | ~Q(challenger__status=ModelVersion.Status.READY)
    return Retraining.objects.filter(status__in=Retraining.OPEN).filter(
        Q(late, status=Status.AWAITING_APPROVAL)
        | Q(job | (Q(job__isnull=True) & Exists(made)), status__in=BEFORE)
        | (Q(status=Status.EVALUATING) & ~Q(report={}))
        | Q(settled | ~Exists(running), status=Status.TESTING)
        | Q(settled | late | Exists(refused), status=Status.CHALLENGER)
    )


def _retried() -> QuerySet[Retraining]:
    """Failed ones whose job was tried again, with a version that it left if it has ended."""
    told = RetrainingEvent.objects.filter(retraining=OuterRef("pk"), kind="not_resumed")
    ready = Q(job__status=JobStatus.COMPLETED, job__model_version__status=ModelVersion.Status.READY)
    rows = Retraining.objects.filter(Q(job__status__in=ACTIVE) | ready, ~Exists(told), status=Status.FAILED)
    return rows.select_related("model", "job__model_version__model").order_by("pk")[:50]


def _resume(row: Retraining) -> None:
    """Go on with a job that was tried again, unless another retraining of the model is open by now."""
    job = row.job
    assert job is not None
    try:
        with transaction.atomic():
            # As whoever opens one holds it: there is never more than one.
            Model.objects.select_for_update(no_key=True).filter(pk=row.model_id).exists()
            other = Retraining.objects.filter(model=row.model_id, status__in=Retraining.OPEN).first()
            if other is None:
                message = f"Job {job.pk} was tried again, so the retraining goes on."
                hint = f"Follow it at /jobs/{job.pk}."
                details = {"job": job.pk, "attempt": job.attempt_number}
                story.move(row, Status.QUEUED, "resumed", message, hint=hint, expected=[Status.FAILED], details=details)
            elif job.status == JobStatus.COMPLETED:
                _not_resumed(row, job, other)
    except story.MovedOnError:
        log.info("retraining %s was moved on by someone else", row.pk)


def _not_resumed(row: Retraining, job: Job, other: Retraining) -> None:
    """Say once that what a job left was compared with nothing, and what can be done."""
    message = f"Job {job.pk} completed when it was tried again, while retraining {other.pk} {other.state}: "
    message += f"{job.model_version} was compared with nothing."
    hint = f"Look at it at /versions/{job.model_version_id}, where it can be promoted, or start a retraining."
    if story.note(row.model, "not_resumed", f"{message} {hint}", retraining=row, key=f"not_resumed:{row.pk}"):
        Retraining.objects.filter(pk=row.pk, status=Status.FAILED).update(message=message[:500], hint=hint[:500])


def job_ended(job_id: int) -> None:
    """A job has ended: take the retraining that it belongs to further, if there is one."""
    key = Retraining.objects.filter(job=job_id, status__in=BEFORE).values_list("pk", flat=True).first()
    if key:
        advance(key)


def advance(retraining_id: int) -> None:
    """Take one as far as it goes now. What stands in the way is told, and tried again later."""
    related = ("model__owner", "job__model_version__model", "champion__model", "challenger__model", "policy")
    row = Retraining.objects.select_related(*related).filter(pk=retraining_id).first()
    if row is None or row.status not in STEPS:
        return
    try:
        STEPS[row.status](row)
    except story.MovedOnError:
        log.info("retraining %s was moved on by someone else", retraining_id)
    except (OperationalError, InterfaceError) as error:
        if database_is_away(error):
            raise
        log.exception("retraining %s can't go on now", retraining_id)
    except ProblemError as problem:
        story.say(row, problem.message, problem.hint)
    except Exception as error:
        log.exception("retraining %s can't go on", retraining_id)
        story.say(row, f"An error in TrainHub: {type(error).__name__}.", "The log of the hub says more.")


def _awaiting(row: Retraining) -> None:
    """Nobody decided for too long: what was seen then says little now."""
    if not outcomes.too_long(row):
        return
    story.move(
        row, Status.EXPIRED, "expired", f"Nobody approved it for {outcomes.UNDECIDED.days} days.",
        expected=[row.status], hint="It is started again by what its policy sees, or by hand.",
    )  # fmt: skip


def _job(row: Retraining) -> None:
    """Queued and training: follow the job to its end."""
    job = row.job
    if job is None:
        if not row.events.filter(kind="job_made").exists():
            return  # it is made by `performance.retraining.starting`
        hint = "Start it again at its model's policy, or wait for its next trigger."
        story.move(row, Status.FAILED, "failed", "Its job was deleted.", hint=hint, expected=BEFORE)
        return
    if job.status == JobStatus.RUNNING and row.status == Status.QUEUED:
        story.move(row, Status.TRAINING, "training", f"Job {job.pk} is running.", expected=[Status.QUEUED])
    if job.status == JobStatus.COMPLETED:
        _trained(row, job)
    if job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        _ended_badly(row, job)


def _ended_badly(row: Retraining, job: Job) -> None:
    if job.status == JobStatus.CANCELLED:
        message = f"Job {job.pk} was cancelled; the champion stays."
        hint = f"Start a retraining when it is wanted; or retry the job at /jobs/{job.pk}, and this one goes on."
    else:
        message = f"Job {job.pk} failed: {job.failure_message}; the champion stays."
        again = f"Then retry the job at /jobs/{job.pk}, and this retraining goes on; or start another one."
        hint = f"{job.failure_hint} {again}".strip()
    details = {"job": job.pk, "code": job.failure_code}
    story.move(row, Status.FAILED, "failed", message, hint=hint, expected=BEFORE, details=details)


def _trained(row: Retraining, job: Job) -> None:
    version = job.model_version
    if version is None:
        hint = "Retraining is for recipes that make a model."
        story.move(row, Status.FAILED, "failed", f"Job {job.pk} left no version.", hint=hint, expected=BEFORE)
        return
    details = {"job": job.pk, "version": version.pk, "metrics": version.metrics}
    made = f"{version} was made by job {job.pk}."
    if row.plan.get("after") == RetrainingPolicy.After.NOTHING:
        message, hint = f"{made} Its policy leaves it at that.", f"Look at it at /versions/{version.pk}."
        story.move(
            row, Status.KEPT, "trained", message, hint=hint, expected=BEFORE, details=details, challenger=version
        )
        return
    with transaction.atomic():
        # Whoever is champion by now is whom it is to beat.
        champion = next_steps.champion(row.model) or row.champion
        story.move(
            row, Status.EVALUATING, "trained", f"{made} It is being compared with the champion.", expected=BEFORE,
            details=details, challenger=version, champion=champion, attempt=0, heartbeat_at=None,
        )  # fmt: skip
        _name(row, version)
        enqueue(reporting.TASK, row.pk)


def _name(row: Retraining, version: ModelVersion) -> None:
    """Call it the challenger. What is in the way is told, and hinders nothing."""
    if next_steps.is_champion(version):
        return
    try:
        with transaction.atomic():
            next_steps.name_challenger(version, f"Made by retraining {row.pk}.", outcomes.evidence_of(row))
        story.note(row.model, "named", f"{version} is the challenger.", retraining=row, details={"version": version.pk})
    except ProblemError as problem:
        text = f"{version} could not be called the challenger: {problem.message}"
        story.note(row.model, "not_named", text, retraining=row)


STEPS: dict[str, Callable[[Retraining], None]] = {
    Status.AWAITING_APPROVAL: _awaiting,
    Status.QUEUED: _job,
    Status.TRAINING: _job,
    Status.EVALUATING: outcomes.compared,
    Status.TESTING: outcomes.tested,
    Status.CHALLENGER: outcomes.waiting,
}

"""Every finished run becomes a session: from the jobs' outbox, or reported by a program.

What can't be recorded stays in the outbox with its error and is tried again; the run itself knows nothing of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from common.errors import ConflictError
from common.numbers import finite
from common.push import publish
from history import daily
from history.facts import expected_and_paid, headline, modality_of
from history.generations import generated
from history.models import Session
from jobs.automatic.starting import STARTED
from jobs.generation.shown import makes_examples
from jobs.models import Attempt, FineTuning, Job, JobEvent, OutboxMessage
from jobs.runs import ENDED, session_id_of
from jobs.states import TERMINAL, Status

log = logging.getLogger(__name__)

AT_ONCE = 20  # messages in one transaction

# What a report can say of a run.
REPORTED = (
    "kind", "name", "recipe", "outcome", "examples_requested", "examples_successful", "examples_failed", "genres",
    "stored_in_memory", "saved_to_database", "saved_count", "quality_average", "quality_min", "quality_max",
    "best_model", "performance_by_model", "genre_distribution", "total_seconds", "examples_before", "examples_after",
    "fine_tuning_triggered", "metrics", "started_at", "completed_at",
)  # fmt: skip


def record_pending(limit: int = 500) -> int:
    """Take up what waits in the outbox, oldest first: runs, and what they started; returns how many were taken up well.

    Several processes may do so at once: each takes what no other holds. A run that generates has a transaction of its
    own: what is written into its dataset, which may take minutes, is written before the lock of `daily`, for which
    everyone who records waits.
    """
    done, last, looked = 0, 0, 0
    while looked < limit:
        with transaction.atomic():
            waiting = OutboxMessage.objects.filter(topic__in=(ENDED, STARTED), processed_at__isnull=True, pk__gt=last)
            held = waiting.select_related("job__model_version").select_for_update(skip_locked=True, of=("self",))
            messages = _together(list(held.order_by("pk")[:AT_ONCE]))
            done += sum(_take_up(message) for message in messages)
        if not messages:
            break
        last, looked = messages[-1].pk, looked + len(messages)
    return done


def _together(messages: list[OutboxMessage]) -> list[OutboxMessage]:
    """The first ones that can share a transaction."""
    long = [message.topic == ENDED and makes_examples(message.job) for message in messages]
    return messages[:1] if long[:1] == [True] else messages[: long.index(True)] if True in long else messages


def record_now(message: OutboxMessage) -> None:
    """Take up this one, which the caller holds, before its job starts anew. ConflictError when that fails."""
    if not _take_up(message):
        raise ConflictError(
            f"What the last run has made can't be recorded now: {message.last_error}",
            "Retry in a moment. If it stays so, the log of the hub says more.",
        )


def _take_up(message: OutboxMessage) -> bool:
    try:
        with transaction.atomic():
            if message.topic == ENDED:
                record_run(message.job, message.attempt_number)
            else:
                mark_fine_tuning(message.job, message.attempt_number)
    except (OperationalError, InterfaceError):
        raise  # the database is away: nothing can be noted now
    except Exception as error:
        # Whatever it is, it stands beside the run that it concerns, and the next sweep tries again.
        log.exception("recording job %s failed", message.job_id)
        message.failures += 1
        message.last_error = f"{type(error).__name__}: {error}"[:500]
        message.save(update_fields=["failures", "last_error"])
        return False
    message.processed_at = timezone.now()
    message.last_error = ""
    message.save(update_fields=["processed_at", "last_error"])
    return True


def record_run(job: Job, attempt_number: int) -> Session | None:
    """The session of the run that ended with this attempt; None when the job ended before it ever ran.

    A run is all attempts since the last end: what was retried is a run of its own. Safe to repeat.
    """
    ended = _end(job, attempt_number)
    attempts = _attempts(job, attempt_number)
    if ended is None or not attempts:
        return None
    # The job may have been retried meanwhile, so the outcome comes from the event, not from the row.
    outcome = ended.to_status
    started_at = attempts[0].started_at
    session_id = session_id_of(job.pk, attempts[0].number)
    if known := Session.objects.filter(session_id=session_id).first():
        return known
    generates = makes_examples(job)
    if generates:  # whether its examples start a fine-tuning is decided by who holds its row
        Job.objects.select_for_update(of=("self",)).only("pk").get(pk=job.pk)
    seconds = _seconds(attempts, ended.at)
    session, created = Session.objects.get_or_create(
        session_id=session_id,
        defaults={
            "user_id": job.owner_id,
            "kind": Session.Kind.GENERATION if generates else Session.Kind.TRAINING,
            "name": job.name,
            "recipe": job.recipe,
            "outcome": outcome,
            "job": job,
            "started_at": started_at,
            "completed_at": max(ended.at, started_at),
            "total_seconds": seconds,
            "subject_id": job.subject_id,
            "modality": modality_of(job.recipe),
            "fine_tuning_triggered": FineTuning.objects.filter(session_id=session_id).exists(),
            **(
                generated(job, _begun_at(job, attempts), attempts[0].number)
                if generates
                else _data(job, outcome) | _result(job, outcome)
            ),
            **expected_and_paid(job, seconds),
        },
    )
    if created:
        daily.add(session)
        publish(f"history.{job.owner_id}", f"job.{job.pk}")
    return session


def mark_fine_tuning(job: Job, first_attempt: int) -> None:
    """Say on the session of the run that this attempt began that its examples started a fine-tuning. Safe to repeat.

    One that is not recorded yet finds that out by itself: who starts a fine-tuning holds the job's row, and so does
    who records its run.
    """
    session_id = session_id_of(job.pk, first_attempt)
    if Session.objects.filter(session_id=session_id, fine_tuning_triggered=False).update(fine_tuning_triggered=True):
        daily.add_fine_tuning(Session.objects.get(session_id=session_id))
        publish(f"history.{job.owner_id}", f"job.{job.pk}")


def _end(job: Job, attempt_number: int) -> JobEvent | None:
    ends = JobEvent.objects.filter(job=job, attempt_number=attempt_number, to_status__in=TERMINAL)
    return ends.order_by("sequence").first()


def _attempts(job: Job, attempt_number: int) -> list[Attempt]:
    earlier = OutboxMessage.objects.filter(topic=ENDED, job=job, attempt_number__lt=attempt_number)
    before = earlier.order_by("-attempt_number").values_list("attempt_number", flat=True).first() or 0
    return list(Attempt.objects.filter(job=job, number__gt=before, number__lte=attempt_number).order_by("number"))


def _begun_at(job: Job, attempts: list[Attempt]) -> int:
    """The step from which a run went on; where no attempt of it came to start, all that the job has done before."""
    for attempt in attempts:
        if attempt.first_step is not None:
            return attempt.first_step
        if attempt.number == 1:
            return 0
    return job.current_step


def _seconds(attempts: list[Attempt], end: datetime) -> float:
    """Time at work, without waiting and pauses between the attempts."""
    return sum(max(0.0, ((attempt.ended_at or end) - attempt.started_at).total_seconds()) for attempt in attempts)


def _data(job: Job, outcome: str) -> dict[str, Any]:
    """Examples that the run was given; which of them it got through is known only when it completed."""
    if job.dataset_version is None:
        return {}
    examples = sum(int(count) for count in job.dataset_version.counts.values())
    if outcome != Status.COMPLETED:
        return {"examples_requested": examples}
    return {"examples_requested": examples, "examples_successful": examples, "examples_failed": 0}


def _result(job: Job, outcome: str) -> dict[str, Any]:
    if outcome != Status.COMPLETED:
        return {}
    version = job.model_version
    return {
        "metrics": finite(job.metrics),
        **headline(job.recipe, job.metrics),
        "model_version": version,
        "best_model": str(version)[:200] if version else "",
        "saved_to_database": version is not None,
    }


def record_reported(user: AbstractBaseUser, values: dict[str, Any]) -> tuple[Session, bool]:
    """A session that a program reports of its own run; the session, and whether it is new.

    `values` are fields of Session. Sent again with the same `session_id` and the same values it is the same
    session; ConflictError when the id belongs to other values, with both of them if the session is this person's own.
    """
    values = {"session_id": uuid.uuid4(), **{key: value for key, value in values.items() if value is not None}}
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
    recipe = values.get("recipe", "")
    told = {"modality": modality_of(recipe), **headline(recipe, values.get("metrics", {}))}
    try:
        with transaction.atomic():
            session = Session.objects.create(user=user, request_digest=digest, **values, **told)
            daily.add(session)
        return session, True
    except IntegrityError:
        known = Session.objects.filter(session_id=values["session_id"], user=user).first()
        if known is None:
            raise ConflictError("Another session has this id.", "Use a new id for each session.") from None
        if known.request_digest != digest and (differences := _differences(known, values)):
            raise ConflictError(
                f"This session is recorded already, with other values of: {', '.join(differences)}.",
                "Send it again unchanged, or use a new id: what was recorded stays. 'differences' shows both.",
                differences=differences,
            ) from None
        return known, False


def _differences(known: Session, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Fields that a report has otherwise than the session, what is left out included: {name: {"stored", "sent"}}."""
    empty = {name: Session._meta.get_field(name).get_default() for name in REPORTED}
    pairs = {name: (getattr(known, name), values.get(name, empty[name])) for name in REPORTED}
    return {
        name: {"stored": _plain(stored), "sent": _plain(sent)}
        for name, (stored, sent) in pairs.items()
        if stored != sent
    }


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value

"""How soon and how often a model may be trained again, and when it may if not now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from common.errors import ConflictError
from common.wording import brief, moment_utc, number
from jobs.models import Job
from jobs.schedules import database_now
from performance.models import Retraining, RetrainingPolicy


@dataclass(frozen=True)
class Spent:
    """Of the present month (UTC): trainings, and device hours, estimated where a job has not ended."""

    jobs: int
    device_hours: float


def check(policy: RetrainingPolicy, now: datetime | None = None) -> None:
    """ConflictError, which says when it may be again, while the cooldown lasts or the budget is used up."""
    now = now or database_now()
    if (until := cooldown_until(policy)) and until > now:
        raise ConflictError(
            f"{policy.model} was trained again less than {_hours(policy.cooldown_hours)} ago: the next time is "
            f"possible from {moment_utc(until)} on.",
            "Wait until then, or shorten the cooldown in its retraining policy.",
            possible_from=until.isoformat(),
        )
    used, reset = spent(policy, now), next_month(now)
    if policy.budget_jobs is not None and used.jobs >= policy.budget_jobs:
        what = f"{number(used.jobs)} of {number(policy.budget_jobs)} trainings"
    elif policy.budget_device_hours is not None and used.device_hours >= policy.budget_device_hours:
        what = f"{brief(used.device_hours)} of {brief(policy.budget_device_hours)} device hours"
    else:
        return
    raise ConflictError(
        f"The budget of {policy.model} for this month is used up: {what}. It begins anew on {moment_utc(reset)}.",
        "Wait until then, or raise the budget in its retraining policy.",
        possible_from=reset.isoformat(),
    )


def cooldown_until(policy: RetrainingPolicy) -> datetime | None:
    """When the cooldown of the last training ends; None before the first."""
    if not policy.cooldown_hours:
        return None
    last = _with_job(policy).order_by("-created_at").values_list("created_at", flat=True).first()
    return last + timedelta(hours=policy.cooldown_hours) if last else None


def spent(policy: RetrainingPolicy, now: datetime | None = None) -> Spent:
    """What this month's trainings of the model took."""
    now = now or database_now()
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = _with_job(policy).filter(created_at__gte=start).select_related("job")
    jobs = [row.job for row in rows if row.job]
    return Spent(len(jobs), sum(map(_device_hours, jobs)))


def next_month(now: datetime) -> datetime:
    """The first moment of the next month, UTC."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _with_job(policy: RetrainingPolicy) -> QuerySet[Retraining]:
    return Retraining.objects.filter(model=policy.model_id, job__isnull=False)


def _device_hours(job: Job) -> float:
    seconds = job.spent_seconds if job.completed_at else max(job.estimate.get("seconds") or 0, job.elapsed_seconds())
    return seconds * max(1, job.resources.get("devices") or 1) / 3600


def _hours(count: int) -> str:
    return f"{number(count)} hour{'' if count == 1 else 's'}"

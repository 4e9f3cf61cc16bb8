"""What pages and API say about jobs as a whole: lists, counts, slots, reasons for waiting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Case, Count, F, IntegerField, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum, Value, When
from django.utils import timezone

from common.access import visible
from jobs.models import Attempt, Job, Node, Slot
from jobs.queue import free_slots, ready
from jobs.states import ACTIVE, TERMINAL, Status

RELATED = ("owner", "dataset_version__dataset", "model_version__model", "subject")


def listed(user: AbstractBaseUser) -> QuerySet[Job]:
    """The jobs that `user` may see, with what a row of a list shows, newest first."""
    return visible(Job.objects.select_related(*RELATED), user).order_by("-created_at", "-id")


def active_jobs(user: AbstractBaseUser) -> QuerySet[Job]:
    """Jobs that have not ended: running ones first, then the queue in its order, then the rest."""
    jobs = visible(Job.objects.filter(status__in=ACTIVE).select_related(*RELATED), user)
    rank = {Status.RUNNING: 0, Status.QUEUED: 1, Status.PENDING: 2, Status.PAUSED: 3}
    whens = [When(status=status, then=Value(number)) for status, number in rank.items()]
    ranked = jobs.annotate(rank=Case(*whens, output_field=IntegerField()))
    return ranked.order_by("rank", F("interrupted").desc(), F("priority").desc(), "position", "id")


def queue_order() -> QuerySet[Job]:
    """Queued jobs of everyone in the order in which workers take them."""
    return ready().select_related(*RELATED)


def counts(user: AbstractBaseUser) -> dict[str, int]:
    """How many jobs of `user` are in each state, zeros included; one query."""
    rows = visible(Job.objects.all(), user).order_by().values("status").annotate(number=Count("pk"))
    found = {row["status"]: row["number"] for row in rows}
    return {status.value: found.get(status.value, 0) for status in Status}


def free_and_busy() -> tuple[int, int]:
    """Slots of living nodes that are free, and that run a job; two queries."""
    busy = Attempt.objects.filter(ended_at__isnull=True, slot__isnull=False).count()
    return free_slots().count(), busy


def nodes() -> QuerySet[Node]:
    """Nodes with their slots, each slot with the job that it runs as `running_job` and `running_name`."""
    attempt = Attempt.objects.filter(slot=OuterRef("pk"), ended_at__isnull=True)
    slots = Slot.objects.filter(enabled=True).annotate(
        running_job=Subquery(attempt.values("job_id")[:1]), running_name=Subquery(attempt.values("job__name")[:1])
    )
    return Node.objects.prefetch_related(Prefetch("slots", queryset=slots))


def waiting_reason(job: Job) -> str:
    """In one sentence, what a job waits for; empty for a job that does not wait."""
    return waiting_reasons([job])[job.pk]


def waiting_reasons(jobs: Iterable[Job]) -> dict[int, str]:
    """What each of these jobs waits for, by its id, with the same few queries for one and for many."""
    jobs = list(jobs)
    now = timezone.now()
    reasons = {job.pk: _plain_reason(job, now) for job in jobs}
    waiting = [job for job in jobs if reasons[job.pk] is None]
    if waiting:
        alive = _slots_alive()
        places = {pk: place for place, pk in enumerate(_in_line(alive).values_list("pk", flat=True))}
        free = set(free_slots().values_list("pk", flat=True))
        for job in waiting:
            reasons[job.pk] = _queue_reason(job, places.get(job.pk, 0), alive, free)
    return {pk: reason or "" for pk, reason in reasons.items()}


def _plain_reason(job: Job, now: datetime) -> str | None:
    """The reason where the job itself tells it; None where it depends on the queue."""
    if job.status == Status.PAUSED:
        return "Paused. Resume it to go on."
    if job.status == Status.PENDING:
        return job.waiting_for or "Waits to be queued."
    if job.status != Status.QUEUED:
        return ""
    if job.not_before and job.not_before > now:
        return f"Starts at {job.not_before:%Y-%m-%d %H:%M} UTC."
    return None


def _slots_alive() -> list[tuple[int, str]]:
    """(id, device) of the enabled slots of nodes that are up."""
    nodes = [node.pk for node in Node.objects.all() if node.is_up]
    return list(Slot.objects.filter(enabled=True, node__in=nodes).values_list("pk", "device"))


def _in_line(alive: list[tuple[int, str]]) -> QuerySet[Job]:
    """Queued jobs that some living slot can run: the others stand in nobody's way."""
    if any(device.startswith("cuda") for _, device in alive):
        return ready()
    return ready().exclude(resources__device="cuda")


def _queue_reason(job: Job, before: int, alive: list[tuple[int, str]], free: set[int]) -> str:
    device = job.resources.get("device", "any")
    fitting = [pk for pk, slot in alive if device in {"any", "cpu"} or slot.startswith(device)]
    if not fitting:
        what = "a GPU" if device == "cuda" else "a worker"
        return f"Waits for {what}: no node that has one is running."
    if before:
        return f"{before} {'job' if before == 1 else 'jobs'} before it."
    if free.intersection(fitting):
        return "Next: a worker takes it at once."
    return "Next: waits for a free device."


def recent_failures(user: AbstractBaseUser, hours: int = 24) -> QuerySet[Job]:
    """Jobs that failed in the last `hours`, newest first."""
    since = timezone.now() - timedelta(hours=hours)
    return listed(user).filter(status=Status.FAILED, completed_at__gte=since).order_by("-completed_at")


def week(user: AbstractBaseUser) -> dict[str, Any]:
    """The figures of the last seven days: how many ended how, and the hours of training; one query."""
    since = timezone.now() - timedelta(days=7)
    ended = visible(Job.objects.filter(status__in=TERMINAL, completed_at__gte=since), user)
    figures = ended.aggregate(
        completed=Count("pk", filter=Q(status=Status.COMPLETED)),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
        cancelled=Count("pk", filter=Q(status=Status.CANCELLED)),
        seconds=Sum("spent_seconds"),
    )
    figures["seconds"] = figures["seconds"] or 0.0
    done = figures["completed"] + figures["failed"] + figures["cancelled"]
    figures["success_percent"] = round(100 * figures["completed"] / done, 1) if done else None
    return figures

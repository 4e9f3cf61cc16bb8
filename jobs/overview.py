"""What pages and API say about jobs as a whole: lists, counts, slots, reasons for waiting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from common.access import visible
from common.pages import number_in
from jobs.models import Job, Slot
from jobs.queue import free_slots, ready
from jobs.states import ACTIVE, TERMINAL, Status

RELATED = ("owner", "dataset_version__dataset", "model_version__model", "subject")


def listed(user: AbstractBaseUser) -> QuerySet[Job]:
    """The jobs that `user` may see, with what a row of a list shows, newest first."""
    return visible(Job.objects.select_related(*RELATED), user).order_by("-created_at", "-id")


def found_by(jobs: QuerySet[Job], text: str) -> QuerySet[Job]:
    """Those whose name holds what was typed, or whose number it is: 'fox', '12' or '#12'."""
    number = number_in(text.removeprefix("#"))
    return jobs.filter(Q(name__icontains=text) | Q(pk=number)) if number else jobs.filter(name__icontains=text)


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


def counts(user: AbstractBaseUser, states: Iterable[Status] = tuple(Status)) -> dict[str, int]:
    """How many jobs of `user` are in each of these states, zeros included; one query.

    Those that have ended are many: what is looked at often asks for the active ones alone.
    """
    wanted = [Status(state) for state in states]
    jobs = visible(Job.objects.filter(status__in=wanted), user)
    found = dict(jobs.order_by().values_list("status").annotate(number=Count("pk")))
    return {status.value: found.get(status.value, 0) for status in wanted}


def free_and_busy() -> tuple[int, int]:
    """Slots of living nodes that are free, and that run a job; two queries."""
    return free_slots().count(), Slot.objects.exclude(held_by=None).count()


def recent_failures(user: AbstractBaseUser, hours: int = 24) -> QuerySet[Job]:
    """Jobs that failed in the last `hours`, newest first."""
    since = timezone.now() - timedelta(hours=hours)
    return listed(user).filter(status=Status.FAILED, completed_at__gte=since).order_by("-completed_at")


def latest_completed(user: AbstractBaseUser, count: int = 5) -> QuerySet[Job]:
    """The jobs that completed last."""
    done = listed(user).filter(status=Status.COMPLETED, completed_at__isnull=False)
    return done.order_by("-completed_at")[:count]


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

"""The queue: its order is a query, and whoever answers a knock claims the best job that fits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Now
from django.utils import timezone
from django_q.models import OrmQ

from common.background import put
from jobs.lifecycle import move
from jobs.models import Attempt, Job, Node, Slot
from jobs.states import Status

ORDER = (F("interrupted").desc(), F("priority").desc(), "position", "id")
KNOCK = "jobs.tasks.answer"
KNOCKS_AT_ONCE = 4


@dataclass(frozen=True)
class Owner:
    """The supervisor process that asks for a job."""

    host: str
    boot_id: str
    pid: int
    start_time: int  # clock ticks since boot


def ready(jobs: QuerySet[Job] | None = None) -> QuerySet[Job]:
    """Queued jobs in the order in which slots take them."""
    queued = (Job.objects.all() if jobs is None else jobs).filter(status=Status.QUEUED)
    return queued.filter(Q(not_before__isnull=True) | Q(not_before__lte=Now())).order_by(*ORDER)


def fitting(device: str) -> Q:
    """Jobs that a slot with this device can run."""
    kind = device.partition(":")[0]
    wanted = Q(resources__device__isnull=True) | Q(resources__device__in=["any", kind])
    return wanted | Q(resources__device="cpu")


@transaction.atomic
def claim(slot: Slot, owner: Owner) -> Attempt | None:
    """Take the best fitting job for a slot: one attempt with a lease, or None when there is nothing to do.

    SKIP LOCKED lets several slots claim at once; the unique index on open attempts refuses a second
    attempt on a job or slot whatever happens.
    """
    job = ready().filter(fitting(slot.device)).select_for_update(skip_locked=True, of=("self",)).first()
    if job is None:
        return None
    number = job.attempt_number + 1
    where = f"{slot.node.name}, {slot.device}"
    job = move(
        job.pk,
        Status.RUNNING,
        kind="started",
        expected={Status.QUEUED},
        message=f"Attempt {number} on {where}.",
        changes={"attempt_number": number, "started_at": Coalesce("started_at", Now())},
    )
    return Attempt.objects.create(
        job=job,
        number=number,
        slot=slot,
        host=owner.host,
        boot_id=owner.boot_id,
        supervisor_pid=owner.pid,
        supervisor_start=owner.start_time,
        started_at=job.attempt_started_at,
        lease_until=job.attempt_started_at + timedelta(seconds=settings.LEASE_SECONDS),
    )


def free_slots() -> QuerySet[Slot]:
    """Slots of living nodes that run nothing."""
    alive = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
    busy = Attempt.objects.filter(slot=OuterRef("pk"), ended_at__isnull=True)
    return Slot.objects.filter(
        ~Exists(busy), enabled=True, node__state=Node.State.ACTIVE, node__heartbeat_at__gt=alive
    ).select_related("node")


def knock() -> int:
    """Wake free slots that nobody has knocked at yet; how many were woken.

    A knock carries no job. Delivered twice, late or never it does no harm: the slot claims what is best
    then, and the sweep knocks again.
    """
    waiting = OrmQ.objects.filter(key=OuterRef("queue"))
    slots = list(free_slots().filter(~Exists(waiting))[:KNOCKS_AT_ONCE])
    for slot in slots:
        put(slot.queue, KNOCK, slot.pk)
    return len(slots)


def knock_on_commit() -> None:
    """Wake free slots once the transaction has committed; when that fails, the sweep knocks."""
    transaction.on_commit(knock, robust=True)

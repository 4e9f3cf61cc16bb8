"""The queue: its order is a query, and whoever answers a knock claims the best job that fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce, Now
from django_q.models import OrmQ

from common.background import put
from datasets.models import Dataset
from jobs.lifecycle import move_locked
from jobs.models import Attempt, Job, Node, Slot
from jobs.needs import Needs
from jobs.places import ORDER
from jobs.scheduling import Answer, Picture, Place, keep_for
from jobs.states import Status

KNOCK = "jobs.tasks.answer"
KNOCKS_AT_ONCE = 4  # by one who waits for an answer; the sweep wakes more
LOCK = 7_236_002  # one claim at a time: limits and slots of several devices are then exact
FIRST = 32  # jobs at the head of the queue that a claim looks at before it asks for those of every lane and owner
HEADS = 4  # jobs looked at of each lane and owner: a person may hold the first one's row at this moment


@dataclass(frozen=True)
class Owner:
    """The supervisor process that asks for a job."""

    host: str
    boot_id: str
    pid: int
    start_time: int  # clock ticks since boot


@dataclass(frozen=True)
class Candidate:
    """The first jobs of a lane and owner, in the order of the queue."""

    pk: int
    lane: str
    owner_id: int
    subject_id: int | None


def ready(jobs: QuerySet[Job] | None = None) -> QuerySet[Job]:
    """Queued jobs in the order in which slots take them."""
    queued = (Job.objects.all() if jobs is None else jobs).filter(status=Status.QUEUED)
    return queued.order_by(*ORDER)


def in_order(full_subjects: list[int]) -> Iterator[Candidate]:
    """All that may be the next to start, in the order of the queue.

    Mostly one of the first is; only when none of them can start are those of every lane and owner looked up.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIRST, [full_subjects, FIRST])
        first = [Candidate(*row) for row in cursor.fetchall()]
    yield from first
    if len(first) == FIRST:
        seen = {candidate.pk for candidate in first}
        yield from (candidate for candidate in candidates(full_subjects) if candidate.pk not in seen)


def candidates(full_subjects: list[int], each: int = HEADS) -> list[Candidate]:
    """The first `each` queued jobs of every lane and owner, all in the order of the queue.

    Lanes and owners are found by hopping along the index, so the length of the queue does not matter: a hundred
    thousand jobs that can't start now cost no more than one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_CANDIDATES, [full_subjects, each])
        return [Candidate(*row) for row in cursor.fetchall()]


@transaction.atomic
def claim(slot: Slot, owner: Owner) -> Attempt | None:
    """Take the best job that can start on this slot: one attempt with a lease, or None when there is none.

    Claims take turns (an advisory lock), so limits hold exactly and a job of several devices gets all of them or
    none. Whatever happens, `Slot.held_by` and the unique indexes on open attempts refuse a second attempt.
    """
    take_turn()
    picture = Picture.take()
    for candidate in in_order(picture.full_subjects):
        needs = Needs.of_lane(candidate.lane)
        places = picture.slots_for(needs, slot.pk)
        verdict = picture.judge(needs, candidate.owner_id, candidate.subject_id)
        if places and verdict.answer is Answer.NOW:
            if job := _lock(candidate.pk):
                return _start(job, slot, places, owner)
            continue
        keep_for(picture, verdict, needs)
        machine = picture.machine_of(slot.pk)
        if machine is None or machine.closed or slot.pk in machine.kept:
            return None
    return None


def take_turn() -> None:
    """Let one claim (or preemption) decide at a time, until the transaction ends."""
    with connection.cursor() as cursor:
        # A process that is frozen between two statements of its claim must not hold up all others for long.
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', '4s', true), pg_advisory_xact_lock(%s)", [LOCK]
        )


def _lock(job_id: int) -> Job | None:
    """The job with its row held; None when a person has it in hand, or took it out of the queue, just now."""
    queued = Job.objects.filter(pk=job_id, status=Status.QUEUED).annotate(db_now=Now()).order_by()
    return queued.select_for_update(skip_locked=True, of=("self",)).first()


def _start(job: Job, slot: Slot, places: list[Place], owner: Owner) -> Attempt:
    number = job.attempt_number + 1
    devices = [place.device for place in places]
    job = move_locked(
        job,
        Status.RUNNING,
        kind="started",
        expected={Status.QUEUED},
        message=f"Attempt {number} on {slot.node.name}, {', '.join(devices)}.",
        details=_found(job),
        changes={"attempt_number": number, "started_at": Coalesce("started_at", Now())},
    )
    attempt = Attempt.objects.create(
        job=job,
        number=number,
        slot=slot,
        devices=devices,
        host=owner.host,
        boot_id=owner.boot_id,
        supervisor_pid=owner.pid,
        supervisor_start=owner.start_time,
        started_at=job.attempt_started_at,
        lease_until=job.attempt_started_at + timedelta(seconds=settings.LEASE_SECONDS),
    )
    held = Slot.objects.filter(pk__in=[place.pk for place in places], held_by=None).update(held_by=attempt)
    if held != len(places):
        raise IntegrityError(f"job {job.pk}: only {held} of {len(places)} slots were free")
    return attempt


def _found(job: Job) -> dict[str, int]:
    """How many items the dataset that takes what the run makes has at its start: nobody can tell that later."""
    there = Dataset.objects.filter(pk=job.save_to_id).values("item_count") if job.save_to_id else []
    return {"dataset": job.save_to_id, "items": there[0]["item_count"]} if there else {}


def free_slots() -> QuerySet[Slot]:
    """Slots of nodes that take jobs, that run nothing; in the database's time."""
    open_nodes = Node.heard_of().filter(draining=False).exclude(set_aside_until__gt=Now())
    return Slot.objects.filter(held_by=None, enabled=True, node__in=open_nodes).select_related("node")


def knock(at_most: int = KNOCKS_AT_ONCE) -> int:
    """Wake free slots that nobody has knocked at yet; how many were woken.

    A knock carries no job. Delivered twice, late or never it does no harm: the slot claims what is best
    then, and the sweep knocks again.
    """
    waiting = OrmQ.objects.filter(key=OuterRef("queue"))
    slots = list(free_slots().filter(~Exists(waiting)))
    if len(slots) > at_most:
        wanted = _wanted({slot.pk for slot in slots}, at_most)
        slots = [slot for slot in slots if slot.pk in wanted]
    for slot in slots:
        put(slot.queue, KNOCK, slot.pk)
    return len(slots)


def _wanted(free: set[int], at_most: int) -> set[int]:
    """Of many free slots, a few that the first jobs of the queue would start on."""
    picture = Picture.take()
    wanted: set[int] = set()
    for candidate in candidates(picture.full_subjects):
        verdict = picture.judge(Needs.of_lane(candidate.lane), candidate.owner_id, candidate.subject_id)
        if verdict.answer is Answer.NOW and verdict.machine:
            fitting = verdict.machine.fitting(Needs.of_lane(candidate.lane))
            wanted.update([place.pk for place in fitting if place.pk in free - wanted][:1])
        if len(wanted) == at_most:
            break
    return wanted


def knock_on_commit() -> None:
    """Wake free slots once the transaction has committed; when that fails, the sweep knocks."""
    transaction.on_commit(knock, robust=True)


_FIRST = """
SELECT id, lane, owner_id, subject_id FROM jobs_job
WHERE status = 'queued' AND (subject_id IS NULL OR subject_id <> ALL(%s::bigint[]))
ORDER BY interrupted DESC, priority DESC, position, id LIMIT %s
"""

_CANDIDATES = """
WITH RECURSIVE crowd AS (
    (SELECT lane, owner_id FROM jobs_job WHERE status = 'queued' ORDER BY lane, owner_id LIMIT 1)
    UNION ALL
    SELECT following.lane, following.owner_id
    FROM crowd, LATERAL (
        SELECT lane, owner_id FROM jobs_job
        WHERE status = 'queued' AND (lane, owner_id) > (crowd.lane, crowd.owner_id)
        ORDER BY lane, owner_id LIMIT 1
    ) AS following
)
SELECT first.id, first.lane, first.owner_id, first.subject_id
FROM crowd, LATERAL (
    SELECT id, lane, owner_id, subject_id, interrupted, priority, position FROM jobs_job
    WHERE status = 'queued' AND lane = crowd.lane AND owner_id = crowd.owner_id
      AND (subject_id IS NULL OR subject_id <> ALL(%s::bigint[]))
    ORDER BY interrupted DESC, (priority * -1), position, id LIMIT %s
) AS first
ORDER BY first.interrupted DESC, first.priority DESC, first.position, first.id
"""

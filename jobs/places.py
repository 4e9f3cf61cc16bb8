"""Where a job stands among those of equal priority.

A job's `position` is a start tag of start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): an owner's next
job stands one turn behind their last one, and never before the head of the queue. So users take turns: who sends
a thousand jobs does not hold up who sends one. It is decided once, when a job comes into the queue; the queue
itself stays a plain order by columns, which one index serves and which people may change.

Orders of a person move their own jobs among their own places, so they take nothing from others; an
administrator moves any job anywhere within its priority.
"""

from __future__ import annotations

from enum import StrEnum

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import F, Max, Q, QuerySet

from common.errors import ConflictError
from jobs.lifecycle import locked, record
from jobs.models import Job
from jobs.needs import Needs
from jobs.states import Status

LOCK = 7_236_001  # one person at a time changes the order: pg_advisory_xact_lock


class Move(StrEnum):
    UP = "up"
    DOWN = "down"
    TOP = "top"


def new_place(owner_id: int, priority: int, devices: int = 1) -> float:
    """The position of a job that comes into the queue: as many turns behind its owner's last as it takes devices."""
    last = _level(priority).filter(owner_id=owner_id).aggregate(last=Max("position"))["last"]
    head = _head(priority)
    return head if last is None else max(head, last + devices)


def old_place(job: Job) -> float:
    """The position of a job that comes back (resumed, gave way): its own, or the head's if that has moved on."""
    return max(job.position, _head(job.priority))


@transaction.atomic
def move_in_queue(job: Job, by: AbstractBaseUser, where: Move) -> Job:
    """Move a queued job one place up or down, or to the top of its priority.

    Its place is among its owner's jobs, or among everyone's when an administrator moves it. At the end of the way
    nothing happens. ConflictError for a job that is not in the queue.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    row = locked(job.pk)
    if row.status != Status.QUEUED:
        raise ConflictError(
            f"Job {row.pk} is {row.get_status_display().lower()}, so it has no place in the queue.",
            "Only a job that is queued can be moved.",
            job=row.pk,
            job_status=row.status,
        )
    everyone = bool(getattr(by, "is_staff", False))
    moved = _among_all(row, where) if everyone else _among_own(row, where)
    if moved:
        record(row, "moved", actor=by, message={"top": "To the top."}.get(where, f"One place {where}."))
    row.refresh_from_db()
    return row


def _level(priority: int) -> QuerySet[Job]:
    """Queued jobs of one priority; interrupted ones stand before them all, and have no place to speak of."""
    return Job.objects.filter(status=Status.QUEUED, interrupted=False, priority=priority).order_by("position", "id")


def _head(priority: int) -> float:
    first = _level(priority).values_list("position", flat=True).first()
    return 0.0 if first is None else first


def _before(row: Job) -> Q:
    return Q(position__lt=row.position) | Q(position=row.position, id__lt=row.pk)


def _behind(row: Job) -> Q:
    return Q(position__gt=row.position) | Q(position=row.position, id__gt=row.pk)


def _among_own(row: Job, where: Move) -> bool:
    """Let the owner's jobs between the two places each take the next one's: nobody else's place changes."""
    own = _level(row.priority).filter(owner_id=row.owner_id).only("id", "position")
    match where:
        case Move.UP:
            chain = [*own.filter(_before(row)).reverse()[:1], row]
        case Move.DOWN:
            chain = [row, *own.filter(_behind(row))[:1]]
        case Move.TOP:
            chain = [*own.filter(_before(row)), row]
    if len(chain) < 2:
        return False
    places = [job.position for job in chain]
    order = [*chain[1:], chain[0]] if where is Move.DOWN else [chain[-1], *chain[:-1]]
    _write(_apart(list(zip(order, places, strict=True))))
    return True


def _apart(pairs: list[tuple[Job, float]]) -> list[tuple[Job, float]]:
    """Two jobs that were queued in one moment may share a place; then the id decides, which a move must overrule."""
    apart: list[tuple[Job, float]] = []
    for job, place in pairs:
        if apart and (place, job.pk) <= (apart[-1][1], apart[-1][0].pk):
            place = apart[-1][1] + 1e-6
        apart.append((job, place))
    return apart


def _write(pairs: list[tuple[Job, float]]) -> None:
    changed = []
    for job, place in pairs:
        job.position = place
        changed.append(job)
    Job.objects.bulk_update(changed, ["position"], batch_size=1000)


def _among_all(row: Job, where: Move) -> bool:
    """Put the job between two others, half-way."""
    others = _level(row.priority).exclude(pk=row.pk)
    if where is Move.TOP:
        first = others.first()
        if first is None or (row.position, row.pk) < (first.position, first.pk):
            return False
        return _put(row, first.position - 1)
    ahead = where is Move.UP
    passed = (others.filter(_before(row)).reverse() if ahead else others.filter(_behind(row))).first()
    if passed is None:
        return False
    beyond = (others.filter(_before(passed)).reverse() if ahead else others.filter(_behind(passed))).first()
    if beyond is None:
        return _put(row, passed.position + (-1 if ahead else 1))
    place = (passed.position + beyond.position) / 2
    if place in {passed.position, beyond.position}:
        _spread(row.priority)
        row.refresh_from_db(fields=["position"])
        return _among_all(row, where)
    return _put(row, place)


def _put(row: Job, place: float) -> bool:
    return bool(Job.objects.filter(pk=row.pk, status=Status.QUEUED).update(position=place))


def _spread(priority: int) -> None:
    """Number the jobs of a priority anew, in their order, when two of them have come too close to go between."""
    with connection.cursor() as cursor:
        cursor.execute(_SPREAD, [priority, priority])


def turns(job: Job) -> int:
    """How many turns a job takes: as many as devices."""
    return Needs.of_lane(job.lane).devices


ORDER = (F("interrupted").desc(), F("priority").desc(), "position", "id")

_SPREAD = """
UPDATE jobs_job SET position = numbered.place
FROM (
    SELECT id, row_number() OVER (ORDER BY position, id) + head AS place
    FROM jobs_job, (SELECT min(position) AS head FROM jobs_job
                    WHERE status = 'queued' AND NOT interrupted AND priority = %s) AS first
    WHERE status = 'queued' AND NOT interrupted AND priority = %s
) AS numbered
WHERE jobs_job.id = numbered.id
"""

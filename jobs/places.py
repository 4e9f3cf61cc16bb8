"""Where a job stands among those of equal priority.

A job's `position` is a start tag of start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): an owner's next
job stands one turn behind their last one, and never before the head of the queue. So users take turns: who sends
a thousand jobs does not hold up who sends one. It is decided once, when a job comes into the queue; the queue
itself stays a plain order by columns, which one index serves and which people may change.

Orders of a person move their own jobs among their own places, so they take nothing from others; an
administrator moves any job anywhere within its priority. A job that lost its worker goes before all others and is
not moved.
"""

from __future__ import annotations

import math
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
WIDTH = 1e-9  # between two jobs, relative to their positions: less leaves no room for many moves between them


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
def move_in_queue(job: Job, by: AbstractBaseUser, where: Move, together: frozenset[int] = frozenset()) -> Job:
    """Move a queued job one place up or down, or to the top of its priority.

    Its place is among its owner's jobs, or among everyone's when an administrator moves it. At the end of the way
    nothing happens. Jobs whose ids are `together` are moved as a group, of which none passes another; the first is
    moved first, downwards the last. ConflictError for a job that is not in the queue.
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
    if row.interrupted:
        raise ConflictError(
            f"Job {row.pk} lost its worker, so it goes on before all others.",
            "Pause it to let others go first.",
            job=row.pk,
            job_status=row.status,
        )
    everyone = bool(getattr(by, "is_staff", False))
    moved = _among_all(row, where, together) if everyone else _among_own(row, where, together)
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


def _among_own(row: Job, where: Move, together: frozenset[int]) -> bool:
    """Let the owner's jobs between the two places each take the next one's: nobody else's place changes."""
    own = _level(row.priority).filter(owner_id=row.owner_id).only("id", "position")
    match where:
        case Move.UP:
            chain = [*own.filter(_before(row)).reverse()[:1], row]
        case Move.DOWN:
            chain = [row, *own.filter(_behind(row))[:1]]
        case Move.TOP:
            chain = [*own.filter(_before(row)).exclude(pk__in=together), row]
    if len(chain) < 2 or any(other.pk in together for other in chain if other.pk != row.pk):
        return False
    order = [*chain[1:], chain[0]] if where is Move.DOWN else [chain[-1], *chain[:-1]]
    _write(_apart(list(zip(order, chain, strict=True))))
    return True


def _apart(pairs: list[tuple[Job, Job]]) -> list[tuple[int, float]]:
    """Job → the position of the one whose place it takes; several may share one, then the id decides.

    Where that would put a job before another one of that position, it goes behind: its own, which a move must
    overrule, and other people's, who lose nothing by it.
    """
    apart: list[tuple[int, float]] = []
    for job, holder in pairs:
        place = holder.position
        if job.pk < holder.pk:
            place = _next(place)
        if apart and (place, job.pk) <= (apart[-1][1], apart[-1][0]):
            place = _next(apart[-1][1])
        apart.append((job.pk, place))
    return apart


def _next(place: float) -> float:
    return max(place + 1e-6, math.nextafter(place, math.inf))


def _write(places: list[tuple[int, float]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_PLACE_EACH, [[pk for pk, _ in places], [place for _, place in places]])


def _among_all(row: Job, where: Move, together: frozenset[int]) -> bool:
    """Put the job between two others, half-way."""
    others = _level(row.priority).exclude(pk=row.pk)
    ahead = where is not Move.DOWN
    if where is Move.TOP:
        passed = others.filter(_before(row)).exclude(pk__in=together).first()
    else:
        passed = (others.filter(_before(row)).reverse() if ahead else others.filter(_behind(row))).first()
    if passed is None or passed.pk in together:
        return False
    beyond = (others.filter(_before(passed)).reverse() if ahead else others.filter(_behind(passed))).first()
    if beyond is None:
        return _put(row, passed.position + (-1 if ahead else 1))
    place = (passed.position + beyond.position) / 2
    if place in {passed.position, beyond.position}:
        _make_room(row.priority, place)
        row.refresh_from_db(fields=["position"])
        return _among_all(row, where, together)
    return _put(row, place)


def _put(row: Job, place: float) -> bool:
    return bool(Job.objects.filter(pk=row.pk, status=Status.QUEUED).update(position=place))


def _make_room(priority: int, place: float) -> None:
    """Set the jobs that share a position apart, in their order; number all anew where there is no room even for that.

    Only those that share it are written, as others may be many, and their distances are what users' turns rest on.
    """
    level = _level(priority)
    count = level.filter(position=place).count()
    following = level.filter(position__gt=place).values_list("position", flat=True).first()
    width = (1.0 if following is None else following - place) / max(1, count)
    with connection.cursor() as cursor:
        if count > 1 and width > WIDTH * max(1.0, abs(place)):
            cursor.execute(_SET_APART, [width, priority, place])
        else:
            cursor.execute(_SPREAD, [priority, priority])


def turns(job: Job) -> int:
    """How many turns a job takes: as many as devices."""
    return Needs.of_lane(job.lane).devices


ORDER = (F("interrupted").desc(), F("priority").desc(), "position", "id")

_PLACE_EACH = """
UPDATE jobs_job SET position = new.place
FROM unnest(%s::bigint[], %s::float8[]) AS new (id, place) WHERE jobs_job.id = new.id AND status = 'queued'
"""

_SET_APART = """
UPDATE jobs_job SET position = position + numbered.steps * %s
FROM (
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS steps FROM jobs_job
    WHERE status = 'queued' AND NOT interrupted AND priority = %s AND position = %s
) AS numbered
WHERE jobs_job.id = numbered.id
"""

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

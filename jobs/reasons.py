"""In one sentence, what a job waits for: said by the code that decides (`jobs.scheduling`), not by a second opinion."""

from __future__ import annotations

import heapq
import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from common.wording import moment_utc
from jobs.models import Dependency, Job, Slot
from jobs.needs import Needs
from jobs.places import ORDER
from jobs.queue import candidates
from jobs.scheduling import Answer, Picture, Verdict, keep_for, lanes_out_of_reach
from jobs.states import Status
from jobs.waiting import reason_to_wait

RECENT = 200  # completed jobs from which a typical duration is learnt
FEWEST = 3
COLUMNS = ("interrupted", "priority", "position")  # of the queue's order, before the id
SIMULATED = 2000  # jobs before it, beyond which the estimate is a division


def waiting_reason(job: Job) -> str:
    """In one sentence, what a job waits for; empty for a job that does not wait."""
    return waiting_reasons([job])[job.pk]


def waiting_reasons(jobs: Iterable[Job]) -> dict[int, str]:
    """What each of these jobs waits for, by its id, with the same few queries for one and for many."""
    jobs = list(jobs)
    reasons = {job.pk: "Paused. Resume it to go on." if job.status == Status.PAUSED else "" for job in jobs}
    reasons |= _of_pending([job for job in jobs if job.status == Status.PENDING])
    reasons |= _of_queued([job for job in jobs if job.status == Status.QUEUED])
    return reasons


def _of_pending(jobs: list[Job]) -> dict[int, str]:
    """As things are now: a job that they start after may have failed, or been retried, since it was written down."""
    if not jobs:
        return {}
    found = Dependency.objects.filter(job__in=jobs).prefetch_related(
        Prefetch("needs", Job.objects.only("id", "name", "status"))
    )
    needed: dict[int, list[Job]] = {}
    for dependency in found.order_by("needs_id"):
        needed.setdefault(dependency.job_id, []).append(dependency.needs)
    now = timezone.now()
    reasons = {}
    for job in jobs:
        later = job.not_before if job.not_before and job.not_before > now else None
        tried = job.attempt_number > 0 and later is not None
        live = "" if tried else reason_to_wait(needed.get(job.pk, []), job.after_failure, later)
        reasons[job.pk] = live or job.waiting_for + (f" ({moment_utc(later)})" if tried and later else "")
    return reasons


def _of_queued(jobs: list[Job]) -> dict[int, str]:
    if not jobs:
        return {}
    picture = Picture.take()
    heads = candidates(picture.full_subjects, each=1)
    unreachable = lanes_out_of_reach(picture, {head.lane for head in heads})
    for head in heads:
        needs = Needs.of_lane(head.lane)
        keep_for(picture, picture.judge(needs, head.owner_id, head.subject_id), needs)
    places = places_of([job.pk for job in jobs], unreachable)
    forecast = Forecast.make(picture)
    reasons = {}
    for job in jobs:
        needs = Needs.of_lane(job.lane)
        verdict = picture.judge(needs, job.owner_id, job.subject_id)
        reasons[job.pk] = _sentence(verdict, needs, places.get(job.pk, 0), picture, forecast)
    return reasons


def _sentence(verdict: Verdict, needs: Needs, before: int, picture: Picture, forecast: Forecast) -> str:
    ahead = f"{before:,} {'job' if before == 1 else 'jobs'} before it" if before else "Next"
    match verdict.answer:
        case Answer.USER_LIMIT:
            return _at_limit("owner", verdict)
        case Answer.SUBJECT_LIMIT:
            return _at_limit("subject", verdict)
        case Answer.NOWHERE if not picture.machines:
            return "Waits for a worker: no node is running."
        case Answer.NOWHERE:
            return f"Needs {needs}: no node that is running has that."
        case Answer.CLOSED if verdict.machine:
            return f"Needs {needs}: node {verdict.machine.name} has that, but {verdict.machine.closed}."
        case Answer.NOW:
            return f"{ahead}." if before else "Next: a worker takes it at once."
    assert verdict.machine
    kept = ", kept for a job that needs more of them" if verdict.free >= needs.devices else ""
    there = f"needs {needs}, node {verdict.machine.name} has {verdict.free} free{kept}"
    return f"{ahead}; {there}{forecast.expected(needs, before)}."


def _at_limit(whose: str, verdict: Verdict) -> str:
    limit, running = verdict.limit, verdict.running
    if not limit:
        return f"Its {whose} may have none running: it waits until an administrator raises that limit."
    if running > limit:
        return f"Its {whose} has {running} running, more than the {limit} allowed: it waits until enough have ended."
    return f"Its {whose} has {running} running, as many as allowed: it waits until one of them ends."


def places_of(ids: list[int], passed_over: Iterable[str] = ()) -> dict[int, int]:
    """How many queued jobs stand before each of these; jobs of the lanes `passed_over` stand in nobody's way.

    Looks at the queue as far as the last of them, so the first page costs little however long it is.
    """
    queue = Job.objects.filter(status=Status.QUEUED)
    if lanes := sorted(passed_over):
        queue = queue.exclude(lane__in=lanes)
    found = list(queue.filter(pk__in=ids).order_by(*ORDER).values_list("pk", *COLUMNS))
    if not found:
        return {}
    first = _count_before(queue, *found[0])
    if len(found) == 1:
        return {found[0][0]: first}
    wanted = {pk for pk, *_ in found}
    between = queue.order_by(*ORDER).values_list("pk", flat=True)[first : _count_before(queue, *found[-1]) + 1]
    return {pk: place for place, pk in enumerate(between, first) if pk in wanted}


def _count_before(queue: QuerySet[Job], pk: int, interrupted: bool, priority: int, position: float) -> int:
    """Three ranges of the index that has the queue's order."""
    alike = queue.filter(interrupted=interrupted)
    equal = alike.filter(priority=priority)
    ranges = [
        alike.filter(priority__gt=priority),
        equal.filter(position__lt=position) | equal.filter(position=position, pk__lt=pk),
    ]
    if not interrupted:
        ranges.append(queue.filter(interrupted=True))
    return sum(some.order_by().count() for some in ranges)


@dataclass
class Forecast:
    """When slots become free, by the speed of what runs and the usual length of what waits."""

    picture: Picture
    typical: float | None  # seconds that a job usually runs; None: too few have completed to say
    remaining: dict[int, float] = field(default_factory=dict)  # slot → seconds until it is free; infinite: not known

    @classmethod
    def make(cls, picture: Picture) -> Forecast:
        """Two queries."""
        newest = Job.objects.filter(status=Status.COMPLETED).order_by("-created_at")
        lengths = list(newest.values_list("spent_seconds", flat=True)[:RECENT])
        typical = statistics.median(lengths) if len(lengths) >= FEWEST else None
        held = Slot.objects.exclude(held_by=None).select_related("held_by__job")
        now = timezone.now()
        return cls(picture, typical, {slot.pk: _left(slot.held_by.job, typical, now) for slot in held})

    def expected(self, needs: Needs, before: int) -> str:
        """', expected in about 12 min'; empty where nothing is known to reckon with."""
        slots = [
            self.remaining.get(place.pk, 0.0)
            for machine in self.picture.machines
            if not machine.closed
            for place in machine.fitting(needs)
        ]
        if len(slots) < needs.devices:
            return ""
        seconds = self._wait(slots, needs.devices, before, math.inf if self.typical is None else self.typical)
        return f", expected in about {_about(seconds)}" if math.isfinite(seconds) else ""

    @staticmethod
    def _wait(slots: list[float], devices: int, before: int, typical: float) -> float:
        """Seconds until `devices` of these slots are free, when the jobs before it each take one for `typical`."""
        rounds = max(0, before - SIMULATED) / len(slots)
        later = rounds * typical if rounds else 0.0  # infinity times nothing is no number
        heapq.heapify(slots)
        for _ in range(min(before, SIMULATED)):
            heapq.heapreplace(slots, slots[0] + typical)
        return later + heapq.nsmallest(devices, slots)[-1]


def _left(job: Job, typical: float | None, now: datetime) -> float:
    if job.remaining_seconds is not None:
        return job.remaining_seconds
    return math.inf if typical is None else max(0.0, typical - job.elapsed_seconds(now))


def _about(seconds: float) -> str:
    """A length of time as coarse as the estimate is."""
    for limit, length, unit in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(1, round(seconds / length))} {unit}"
    return f"{round(seconds / 86_400)} days"

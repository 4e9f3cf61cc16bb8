"""What must hold of all jobs at any moment, whoever did what to them in whatever order."""

from __future__ import annotations

from collections import Counter, defaultdict

from jobs.models import Attempt, Dependency, Job, JobEvent, OutboxMessage, Slot
from jobs.states import MOVES, TERMINAL, Status


def check_all() -> None:
    """Raise AssertionError, with the job's number, for the first rule that is broken."""
    jobs = list(Job.objects.order_by("pk"))
    attempts = list(Attempt.objects.order_by("job_id", "number"))
    _check_events(jobs)
    _check_attempts(jobs, attempts)
    _check_slots(attempts)
    _check_waiting(jobs)
    _check_ends(jobs)


def _check_events(jobs: list[Job]) -> None:
    """Sequence numbers have no gap, each move is allowed, and the last one is the row's status."""
    events: dict[int, list[JobEvent]] = defaultdict(list)
    for event in JobEvent.objects.order_by("job_id", "sequence"):
        events[event.job_id].append(event)
    for job in jobs:
        story = events[job.pk]
        assert [event.sequence for event in story] == list(range(1, job.event_count + 1)), job.pk
        state, number = "", 0
        for event in story:
            if event.to_status:
                assert event.from_status == state, (job.pk, event.kind, event.from_status, state)
                assert not state or event.to_status in MOVES[Status(state)], (job.pk, event.kind)
                state = event.to_status
            if event.attempt_number:
                assert event.attempt_number >= number, (job.pk, "the attempt's number fell")
                number = event.attempt_number
        assert state == job.status, (job.pk, state, job.status)


def _check_attempts(jobs: list[Job], attempts: list[Attempt]) -> None:
    """Numbered from 1 without a gap; the open one, if any, is the last, and its job runs."""
    numbers: dict[int, list[int]] = defaultdict(list)
    still_open: dict[int, list[int]] = defaultdict(list)
    for attempt in attempts:
        numbers[attempt.job_id].append(attempt.number)
        if attempt.ended_at is None:
            still_open[attempt.job_id].append(attempt.number)
    for job in jobs:
        assert numbers[job.pk] == list(range(1, job.attempt_number + 1)), job.pk
        expected = [job.attempt_number] if job.status == Status.RUNNING else []
        assert still_open[job.pk] == expected, (job.pk, job.status, still_open[job.pk])


def _check_slots(attempts: list[Attempt]) -> None:
    """A slot is held if and only if its attempt is open; an attempt has as many slots as devices, on one node."""
    held: dict[int, list[Slot]] = defaultdict(list)
    for slot in Slot.objects.exclude(held_by=None):
        held[slot.held_by_id].append(slot)
    for attempt in attempts:
        slots = held.pop(attempt.pk, [])
        assert len(slots) == (0 if attempt.ended_at else len(attempt.devices)), (attempt, slots)
        assert len({slot.node_id for slot in slots}) <= 1, attempt
        if slots:
            assert attempt.slot_id in {slot.pk for slot in slots}, attempt
    assert not held
    first = Counter(attempt.slot_id for attempt in attempts if attempt.ended_at is None)
    assert all(count == 1 for count in first.values())


def _check_waiting(jobs: list[Job]) -> None:
    """A job that has not ended runs, is queued or paused, or waits for a time or for other jobs, and says so."""
    needing = set(Dependency.objects.values_list("job_id", flat=True))
    for job in jobs:
        if job.status == Status.PENDING:
            assert job.not_before or job.pk in needing, (job.pk, "waits for nothing")
            assert job.waiting_for, job.pk
        else:
            assert not job.waiting_for, job.pk
        if job.status in TERMINAL or job.status == Status.QUEUED:
            assert job.not_before is None, job.pk
        assert not job.request or job.status == Status.RUNNING, job.pk


def _check_ends(jobs: list[Job]) -> None:
    """What has ended was told to the rooms above: once for each end."""
    told = Counter(OutboxMessage.objects.values_list("job_id", "attempt_number"))
    assert all(count == 1 for count in told.values())
    for job in jobs:
        if job.status in TERMINAL:
            assert (job.pk, job.attempt_number) in told, (job.pk, job.status)

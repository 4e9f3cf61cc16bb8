"""Jobs that were marked as preemptible give way, at a checkpoint, to a waiting job of higher priority."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from jobs.models import Attempt, Job
from jobs.needs import Needs
from jobs.queue import Candidate, candidates, take_turn
from jobs.requests import ask
from jobs.scheduling import Answer, Machine, Picture
from jobs.states import Request, Status

LEAVING = frozenset({Request.PREEMPT, Request.PAUSE, Request.CANCEL})


@transaction.atomic
def make_room() -> int:
    """Ask running jobs to give way where that lets a higher priority start; how many were asked.

    Decided under the same lock as claims. The least is taken away: the lowest priority first, among equals the job
    that has run for the shortest time. One waiting job at a time: the next is looked at when it has started. Nobody
    gives way in vain: a slot that a job further ahead in the queue would take, or wait for, is not asked for.
    """
    if not Job.objects.filter(status=Status.RUNNING, preemptible=True).exists():
        return 0
    take_turn()
    picture = Picture.take()
    waiting = candidates(picture.full_subjects, each=1)
    priorities = dict(Job.objects.filter(pk__in=[one.pk for one in waiting]).values_list("pk", "priority"))
    undecided: set[int] = set()  # free slots: which of the jobs takes which shows at the next claim
    for candidate in waiting:
        needs = Needs.of_lane(candidate.lane)
        verdict = picture.judge(needs, candidate.owner_id, candidate.subject_id)
        able = [machine for machine in picture.machines if len(machine.fitting(needs)) >= needs.devices]
        fitting = {place.pk for machine in able for place in machine.fitting(needs)}
        if verdict.answer is Answer.NOW:
            undecided |= {place.pk for machine in able for place in machine.usable(needs)}
        if verdict.answer is Answer.BUSY and not undecided & fitting:
            chosen = _choose(needs, priorities.get(candidate.pk, 0), picture)
            if chosen:
                return sum(_ask(attempt, candidate) for attempt in chosen)
            for machine in able:
                machine.keep(needs)
    return 0


def _choose(needs: Needs, priority: int, picture: Picture) -> list[Attempt]:
    """Who has to go, on the machine where the fewest have to; none where even all of them would not do."""
    held: dict[int, list[Attempt]] = {}
    running = Attempt.objects.filter(ended_at__isnull=True, job__status=Status.RUNNING, slot__isnull=False)
    for attempt in (
        running.select_related("job", "slot").prefetch_related("held_slots").order_by("job__priority", "-started_at")
    ):
        held.setdefault(attempt.slot.node_id, []).append(attempt)
    plans = []
    for machine in picture.machines:
        plan = _plan(machine, needs, priority, held.get(machine.pk, []))
        if plan is not None:
            plans.append(plan)
    return min(plans, key=lambda plan: (len(plan), max(a.job.priority for a in plan)), default=[])


def _plan(machine: Machine, needs: Needs, priority: int, attempts: Iterable[Attempt]) -> list[Attempt] | None:
    """Whose slots, with the free ones, are enough; None when there is no such set. Those on their way out count."""
    fitting = {place.pk: place for place in machine.fitting(needs) if place.pk not in machine.kept}
    if machine.closed or len(fitting) < needs.devices:
        return None
    missing = needs.devices - sum(place.free for place in fitting.values())
    plan: list[tuple[int, Attempt]] = []
    for attempt in sorted(attempts, key=lambda attempt: attempt.job.request not in LEAVING):
        freed = sum(slot.pk in fitting for slot in attempt.held_slots.all())
        gives_way = attempt.job.preemptible and attempt.job.priority < priority
        if freed and (gives_way or attempt.job.request in LEAVING):
            plan.append((freed, attempt))
            missing -= freed
        if missing <= 0:
            return _without_spare(plan, -missing)
    return None


def _without_spare(plan: list[tuple[int, Attempt]], spare: int) -> list[Attempt]:
    """The plan without those who need not go, since a later one frees more; the highest priority is spared first."""
    kept = []
    for freed, attempt in reversed(plan):
        if freed <= spare:
            spare -= freed
        else:
            kept.append(attempt)
    return kept


def _ask(attempt: Attempt, candidate: Candidate) -> bool:
    """Ask it under its row's lock, if it is still this attempt that runs.

    One whose row someone holds is asked by a later sweep: all claims of the hub wait for this transaction.
    """
    running = Job.objects.filter(
        pk=attempt.job_id, attempt_number=attempt.number, status=Status.RUNNING, preemptible=True
    )
    row = running.select_for_update(skip_locked=True, of=("self",)).order_by().first()
    why = f"To give way to job {candidate.pk}, which has a higher priority."
    return row is not None and ask(row, Request.PREEMPT, None, why)

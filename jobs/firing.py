"""The times of schedules that have come, each served once.

The database's clock decides. One transaction moves a schedule on under a guard of its old time and makes the job, so
that neither two nodes at once nor a crash between two lines make two jobs, or none. After a time in which nothing
ran, one job stands for all times that were missed.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from common.background import enqueue
from common.errors import ConflictError, ProblemError
from common.outages import database_is_away
from common.push import publish
from common.wording import moment_utc, number
from datasets.models import Dataset
from jobs import schedules
from jobs.models import Schedule
from jobs.rules import Rule, missed, read_zone

log = logging.getLogger(__name__)

AT_ONCE = 20  # what is left is served by the next sweep, a second later
MOST_COUNTED = 1000
FAILURES_ALLOWED = 5
ITEMS_AT_ONCE = 5_000  # a dataset of so many is frozen in a fraction of a second
ASK_AGAIN_SECONDS = 60.0
TRY_AGAIN_SECONDS = 10.0
put_off: dict[int, float] = {}  # schedule → monotonic time until which this process leaves it alone


def fire_due() -> int:
    """Serve the schedules whose time has come, or have them served; how many were served here.

    Freezing a large dataset takes a while, and a node that is busy with that would not beat: the background worker
    does it then. One that can't be served now (a lock that someone holds, a statement that takes too long) must not
    keep those behind it waiting.
    """
    for pk in [pk for pk, until in put_off.items() if until <= time.monotonic()]:
        del put_off[pk]
    due = Schedule.objects.filter(enabled=True, next_at__lte=Now()).exclude(pk__in=put_off).select_related("template")
    served = 0
    for row in list(due.order_by("next_at", "pk")[:AT_ONCE]):
        if _is_heavy(row):
            _hand_over(row.pk)
            continue
        try:
            served += serve(row.pk)
        except (OperationalError, InterfaceError) as error:
            if database_is_away(error):
                raise
            log.exception("schedule %s can't be served now", row.pk)
            put_off[row.pk] = time.monotonic() + TRY_AGAIN_SECONDS
    return served


def _is_heavy(row: Schedule) -> bool:
    request = row.template.request if row.template else row.request
    items = Dataset.objects.filter(pk=request.get("dataset")).values_list("item_count", flat=True).first()
    return (items or 0) > ITEMS_AT_ONCE


def _hand_over(schedule_id: int) -> None:
    """Once a minute until it is served: a task that is lost is sent again, and one too many finds nothing to do."""
    put_off[schedule_id] = time.monotonic() + ASK_AGAIN_SECONDS
    enqueue("jobs.tasks.serve_schedule", schedule_id)


@transaction.atomic
def serve(schedule_id: int) -> int:
    """Move one schedule on and make its job; 0 when someone else was faster."""
    rows = Schedule.objects.select_for_update(of=("self",), skip_locked=True).select_related("owner", "template")
    row = rows.filter(pk=schedule_id, enabled=True, next_at__lte=Now()).annotate(db_now=Now()).first()
    if row is None or row.next_at is None:
        return 0
    due, now = row.next_at, row.db_now
    try:
        rule, zone = Rule.read(row.rule, now), read_zone(row.zone)
        following = rule.next_after(now, zone)
    except ProblemError as problem:  # the zone or the recipe of an older release
        return _switch_off(row, due, f"{problem.message} {problem.hint}")
    if following is None:
        return _switch_off(row, due, schedules.NEVER)
    guard = Schedule.objects.filter(pk=row.pk, enabled=True, next_at=due)
    if not guard.update(next_at=following, last_at=now):
        return 0
    _make(row, due, missed(rule, zone, due, now, MOST_COUNTED))
    publish("jobs.all")
    return 1


def _make(row: Schedule, due: datetime, later: int) -> None:
    """Make the job of one time, or write down why there is none."""
    if served := row.jobs.filter(scheduled_for=due).first():  # the clock went back, and someone resumed it then
        _leave_out(row, due, f"Job {served.pk} was made for this time before.")
        return
    if row.overlap == Schedule.Overlap.SKIP and (job := schedules.active_job(row)):
        _leave_out(row, due, f"Job {job.pk} '{job.name[:80]}' of an earlier time is {job.status}.{_missed(later)}")
        return
    message = f"Made by the schedule {row.pk} '{row.name[:100]}' for {moment_utc(due)}.{_missed(later)}"
    try:
        with transaction.atomic():
            schedules.make_job(row, by=None, message=message, due=due)
    except ConflictError as problem:  # passes by itself: a busy model, a limit, an import that is at work
        _leave_out(row, due, f"{problem.message} {problem.hint}{_missed(later)}")
    except ProblemError as problem:
        _refuse(row, due, f"{problem.message} {problem.hint}")
    except (OperationalError, InterfaceError):
        raise  # the database, not the schedule: the next sweep tries again
    except Exception as error:
        log.exception("schedule %s can't make its job", row.pk)
        _refuse(row, due, f"An error in TrainHub: {type(error).__name__}. The node's log says more.")


def _leave_out(row: Schedule, due: datetime, why: str) -> None:
    Schedule.objects.filter(pk=row.pk).update(last_error=why[:500])
    schedules.note(row, "skipped", due=due, message=why)


def _refuse(row: Schedule, due: datetime, why: str) -> None:
    """The request can't be used as it is. A schedule that never works is switched off in the end."""
    failures = row.failures_in_a_row + 1
    Schedule.objects.filter(pk=row.pk).update(last_error=why[:500], failures_in_a_row=F("failures_in_a_row") + 1)
    schedules.note(row, "refused", due=due, message=why)
    if failures >= FAILURES_ALLOWED:
        _switch_off(row, None, f"Switched off after {failures} times without a job: {why}")


def _switch_off(row: Schedule, due: datetime | None, why: str) -> int:
    failures = Greatest(F("failures_in_a_row"), 1)  # it tells this from a schedule that a person paused
    Schedule.objects.filter(pk=row.pk).update(
        enabled=False, next_at=None, last_error=why[:500], failures_in_a_row=failures
    )
    schedules.note(row, "switched_off", due=due, message=why)
    return 1


def _missed(later: int) -> str:
    """What is said of the times after `due` that have passed as well."""
    if not later:
        return ""
    count = f"{number(later)} or more" if later >= MOST_COUNTED else number(later)
    return f" It stands for {count} later {'time' if later == 1 else 'times'} as well, missed while no node ran."

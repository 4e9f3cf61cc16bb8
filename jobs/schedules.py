"""Schedules: jobs that come again. What people do with them; `jobs.firing` makes the jobs."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models.functions import Now

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.push import publish
from jobs import blueprints, template_rules
from jobs.lifecycle import record
from jobs.models import Job, JobTemplate, Schedule, ScheduleEvent
from jobs.rules import Rule, read_zone
from jobs.states import ACTIVE

PREVIEWED = 5
KEPT_EVENTS = 500
NEVER = "The rule names no time to come."


def create(
    owner: AbstractBaseUser,
    *,
    name: str,
    rule: Any,
    zone: str,
    template: JobTemplate | None = None,
    request: dict[str, Any] | None = None,
    overlap: str = Schedule.Overlap.SKIP,
    enabled: bool = True,
) -> Schedule:
    """Let a template, or a request of its own, make a job at each time of the rule.

    `rule` is JSON, see `jobs.rules`, read in the time zone `zone`. Raises InvalidInputError and what
    `blueprints.check` raises.
    """
    source = _source(owner, template, request)
    now = database_now()
    read = Rule.read(rule, now)
    next_at = _next(read, zone, now) if enabled else None
    with transaction.atomic():
        row = Schedule.objects.create(
            owner=owner,
            name=blueprints.clean_name(name),
            rule=read.stored(),
            zone=zone,
            overlap=_overlap(overlap),
            enabled=enabled,
            next_at=next_at,
            **source,
        )
        note(row, "created", actor=owner, message=in_words(row))
    return row


@transaction.atomic
def change(
    schedule: Schedule,
    by: AbstractBaseUser,
    *,
    name: str | None = None,
    rule: Any = None,
    zone: str | None = None,
    template: JobTemplate | None = None,
    request: dict[str, Any] | None = None,
    overlap: str | None = None,
) -> Schedule:
    """Change a schedule; None leaves a part as it is. A new rule or zone counts from now. Raises as `create`."""
    row = locked(schedule.pk)
    if name is not None:
        row.name = blueprints.clean_name(name)
    if overlap is not None:
        row.overlap = _overlap(overlap)
    if template is not None or request is not None:
        for field, value in _source(row.owner, template, request).items():
            setattr(row, field, value)
    before = (row.rule, row.zone)
    now = row.db_now  # type: ignore[attr-defined]
    if rule is not None:
        row.rule = Rule.read(rule, now).stored()
    row.zone = zone if zone is not None else row.zone
    if (row.rule, row.zone) != before:
        next_at = _next(Rule.read(row.rule, now), row.zone, now)
        row.next_at = next_at if row.enabled else None
    row.save()
    note(row, "changed", actor=by, message=in_words(row))
    return row


@transaction.atomic
def pause(schedule: Schedule, by: AbstractBaseUser) -> Schedule:
    """Make no more jobs until it is resumed. Pausing twice changes nothing."""
    row = locked(schedule.pk)
    if row.enabled:
        row.enabled, row.next_at, row.failures_in_a_row = False, None, 0
        row.save(update_fields=["enabled", "next_at", "failures_in_a_row", "updated_at"])
        note(row, "paused", actor=by)
    return row


@transaction.atomic
def resume(schedule: Schedule, by: AbstractBaseUser) -> Schedule:
    """Go on with the first time to come; those that passed meanwhile are left out."""
    row = locked(schedule.pk)
    if not row.enabled:
        now = row.db_now  # type: ignore[attr-defined]
        row.enabled, row.next_at = True, _next(Rule.read(row.rule, now), row.zone, now)
        row.failures_in_a_row, row.last_error = 0, ""
        row.save(update_fields=["enabled", "next_at", "failures_in_a_row", "last_error", "updated_at"])
        note(row, "resumed", actor=by)
    return row


@transaction.atomic
def run_now(schedule: Schedule, by: AbstractBaseUser) -> Job:
    """Make a job of it at once, beside its times. Raises as `blueprints.start`.

    ConflictError when an earlier job of it has not ended and the schedule makes only one at a time.
    """
    row = locked(schedule.pk)
    if row.overlap == Schedule.Overlap.SKIP and (job := active_job(row)):
        raise ConflictError(
            f"Job {job.pk} of this schedule has not ended: it is {job.status}.",
            "Wait for it, cancel it, or let the schedule queue one more.",
            job=job.pk,
        )
    return make_job(row, by=by, message=f"Made by hand from the schedule {row.pk} '{row.name}'.")


@transaction.atomic
def delete(schedule: Schedule) -> None:
    """Remove a schedule; its jobs stay. Deleting twice changes nothing."""
    # Its row first: whoever serves it at this moment makes a job that still names it.
    rows = Schedule.objects.select_for_update(of=("self",)).filter(pk=schedule.pk)
    if row := rows.first():
        row.delete()
    publish("jobs.all")


def preview(rule: Any, zone: str, count: int = PREVIEWED) -> tuple[str, list[datetime]]:
    """A rule in words, and its next times, in its zone. Raises InvalidInputError."""
    now = database_now()
    read, place = Rule.read(rule, now), read_zone(zone)
    times = [moment.astimezone(place) for moment in islice(read.times_after(now, place), count)]
    if not times:
        raise InvalidInputError(NEVER, "Choose another date.", fields={"rule": [NEVER]})
    return f"{read}, {zone}", times


def next_times(schedule: Schedule, count: int = PREVIEWED) -> list[datetime]:
    """The next times of a schedule in its zone; none while it is paused."""
    if schedule.next_at is None:
        return []
    zone = read_zone(schedule.zone)
    later = Rule.read(schedule.rule, schedule.next_at).times_after(schedule.next_at, zone)
    return [moment.astimezone(zone) for moment in (schedule.next_at, *islice(later, count - 1))]


def in_words(schedule: Schedule) -> str:
    """'every day at 02:30, Europe/Berlin'."""
    return f"{Rule.read(schedule.rule, schedule.created_at)}, {schedule.zone}"


def locked(schedule_id: int) -> Schedule:
    """The row, locked until the transaction ends, with the database's time as `db_now`."""
    rows = Schedule.objects.select_for_update(of=("self",)).select_related("owner", "template")
    row = rows.annotate(db_now=Now()).filter(pk=schedule_id).first()
    if row is None:
        raise NotFoundError(f"There is no schedule {schedule_id}.", "It may have been deleted.")
    return row


def active_job(schedule: Schedule) -> Job | None:
    """A job of the schedule that has not ended."""
    return schedule.jobs.filter(status__in=ACTIVE).order_by("-id").first()


def make_job(row: Schedule, *, by: AbstractBaseUser | None, message: str, due: datetime | None = None) -> Job:
    """Make a job of a locked schedule and write it down. `due` is the time that it serves; None for one by hand."""
    if not row.owner.is_active:
        raise InvalidInputError(
            f"The account of {row.owner.get_username()} is switched off.", "An administrator can switch it on."
        )
    now = row.db_now  # type: ignore[attr-defined]
    moment, number = (due or now).astimezone(read_zone(row.zone)), row.runs + 1
    if row.template:
        job = blueprints.start_from(row.template, {}, moment, number)
    else:
        job = blueprints.start(row.owner, row.request, moment, number)
    Job.objects.filter(pk=job.pk).update(schedule=row, scheduled_for=due)
    record(job, "scheduled", actor=by, message=message, details={"schedule": row.pk})
    Schedule.objects.filter(pk=row.pk).update(
        last_at=now, last_job=job, last_error="", failures_in_a_row=0, runs=row.runs + 1
    )
    note(row, "started", actor=by, due=due, job=job, message=message)
    return job


def note(
    row: Schedule,
    kind: str,
    *,
    actor: AbstractBaseUser | None = None,
    due: datetime | None = None,
    job: Job | None = None,
    message: str = "",
) -> None:
    """Write down what happened to a schedule, in the transaction in which it happens. The newest events are kept."""
    ScheduleEvent.objects.create(
        schedule=row, at=Now(), kind=kind, actor=actor, due=due, job=job, message=message[:500]
    )
    oldest = row.events.order_by("-id").values_list("id", flat=True)[KEPT_EVENTS : KEPT_EVENTS + 1]
    row.events.filter(id__lte=next(iter(oldest), 0)).delete()


def database_now() -> datetime:
    """The database's time, which all nodes share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement_timestamp()")
        return cursor.fetchone()[0]


def _source(owner: AbstractBaseUser, template: JobTemplate | None, request: dict[str, Any] | None) -> dict[str, Any]:
    """The columns that say what a schedule makes."""
    if (template is None) == (request is None):
        raise InvalidInputError(
            "Say what the schedule makes.", "Give a template or a request of its own, one of the two.",
            fields={"template": ["Give this or a request."]},
        )  # fmt: skip
    if template is not None:
        if template.owner_id != owner.pk:
            raise InvalidInputError(
                "The template belongs to someone else than the schedule.", "Save one of its owner's.",
                fields={"template": ["belongs to someone else"]},
            )  # fmt: skip
        template_rules.unattended(template)
        return {"template": template, "request": {}}
    return {"template": None, "request": blueprints.check(owner, request or {})}


def _overlap(given: str) -> str:
    if given not in Schedule.Overlap.values:
        hint = f"Choose one of: {', '.join(Schedule.Overlap.values)}."
        raise InvalidInputError("The overlap is not known.", hint, fields={"overlap": [hint]})
    return str(given)


def _next(rule: Rule, zone: str, now: datetime) -> datetime:
    moment = rule.next_after(now, read_zone(zone))
    if moment is None:
        raise InvalidInputError(NEVER, "Choose another date.", fields={"rule": [NEVER]})
    return moment

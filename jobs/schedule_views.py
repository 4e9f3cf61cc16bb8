"""Pages of schedules and templates."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import wording
from common.access import get_visible, visible
from common.errors import InvalidInputError, ProblemError
from common.pages import done, number_in, page_of, refused, show
from jobs import blueprints, schedule_forms, schedules
from jobs.models import Job, JobTemplate, Schedule
from jobs.rules import zones

SHOWN = 20


@require_safe
def all_schedules(request: HttpRequest) -> HttpResponse:
    rows = visible(Schedule.objects.select_related("owner", "last_job", "template"), request.user)
    page = page_of(request, rows.order_by("-enabled", "next_at", "name", "id"))
    for row in page:
        row.words = schedules.in_words(row)
    return show(request, "jobs/schedules.html", "jobs/_schedules.html", {"page": page})


@require_safe
def schedule(request: HttpRequest, pk: int) -> HttpResponse:
    row = _find(request, pk)
    context = {
        "schedule": row,
        "words": schedules.in_words(row),
        "times": schedules.next_times(row),
        "jobs": row.jobs.select_related("owner", "dataset_version__dataset", "model_version").order_by("-id")[:SHOWN],
        "events": row.events.select_related("actor", "job").order_by("-id")[:SHOWN],
        "request_kept": row.template.request if row.template else row.request,
    }
    return show(request, "jobs/schedule.html", "jobs/_schedule.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A schedule of a template, or of the job that the address names."""
    return _form(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _form(request, _find(request, pk))


@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    """The rule of a form in words, and its next times."""
    return render(request, "jobs/_schedule_preview.html", _preview(schedule_forms.typed(request.GET)))


@require_http_methods(["GET", "HEAD", "POST"])
def action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Pause, resume, run now or delete; asked by GET, says what it means."""
    row = _find(request, pk)
    if verb not in QUESTIONS:
        raise Http404
    address = reverse("schedule", args=[pk])
    if request.method != "POST":
        line, button, icon = QUESTIONS[verb]
        asked = {"title": f"{button} '{row.name}'?", "lines": [line], "button": button, "icon_name": icon}
        asked |= {"action": reverse("schedule-action", args=[pk, verb]), "back": address, "keep": "Leave it"}
        return show(request, "confirm.html", "parts/confirm.html", asked)
    if verb == "run":
        try:
            job = schedules.run_now(row, request.user)
        except ProblemError as problem:
            return refused(request, problem, address)
        return done(request, f"'{job.name}' is made. The schedule's own times stay.", reverse("job", args=[job.pk]))
    if verb == "delete":
        schedules.delete(row)
        return done(request, f"The schedule '{row.name}' is deleted. Its jobs stay.", reverse("schedules"))
    try:
        changed = schedules.pause(row, request.user) if verb == "pause" else schedules.resume(row, request.user)
    except ProblemError as problem:
        return refused(request, problem, address)
    said = "goes on" if changed.enabled else "makes no more jobs until you resume it"
    return done(request, f"'{row.name}' {said}.", address)


QUESTIONS = {
    "pause": ("It makes no more jobs until you resume it. Jobs that it made go on.", "Pause", "player-pause"),
    "resume": ("It goes on with its next time; times that passed are left out.", "Resume", "player-play"),
    "run": ("It makes one job now; its own times stay as they are.", "Run now", "bolt"),
    "delete": ("It makes no more jobs. Those that it made stay.", "Delete", "trash"),
}


def _form(request: HttpRequest, row: Schedule | None) -> HttpResponse:
    """The form of a new schedule, or of `row`. HTMX asks for its fields again when the kind of rule changes."""
    if request.method == "POST" and "look" not in request.POST:
        return _save(request, row)
    given = request.POST if request.method == "POST" else request.GET
    values = schedule_forms.start(row, schedule_forms.typed(given))
    values["days"] = values["days"] or schedule_forms.DEFAULTS["days"]  # the weekly kind was chosen just now
    return show(request, "jobs/schedule_form.html", "jobs/_schedule_form.html", _context(request, row, values))


def _save(request: HttpRequest, row: Schedule | None) -> HttpResponse:
    values = schedule_forms.typed(request.POST)
    try:
        rule = schedule_forms.rule(values)
        wanted = {
            "name": values.get("name", ""),
            "zone": schedule_forms.zone(values),
            "overlap": values.get("overlap", ""),
        }
        if row is None:
            row = schedules.create(request.user, **wanted, rule=rule, **_source(request, values))
            said = f"'{row.name}' is saved. It makes a job {schedules.in_words(row)}. {_first(row)}"
        else:
            kept = schedule_forms.rule(schedule_forms.start(row, {}))  # as the form would send it unchanged
            source = _source(request, values) if values.get("source", "own") != "own" else {}
            row = schedules.change(row, request.user, **wanted, rule=None if rule == kept else rule, **source)
            said = f"'{row.name}' is changed."
    except ProblemError as problem:
        context = _context(request, row, schedule_forms.start(row, values))
        fields = problem.fields | ({"source": told} if (told := problem.fields.get("template")) else {})
        context |= {"problem": problem, "errors": fields}
        return render(request, "jobs/schedule_form.html", context, status=problem.status)
    messages.success(request, said)
    return redirect("schedule", pk=row.pk)


def _first(row: Schedule) -> str:
    times = schedules.next_times(row, 1)
    return f"The first one comes on {wording.day_and_time(times[0])}." if times else ""


def _source(request: HttpRequest, values: dict[str, Any]) -> dict[str, Any]:
    """What the schedule makes, as the form names it: 'template:3' or 'job:7'."""
    kind, _, key = values.get("source", "").partition(":")
    pk = number_in(key)
    if kind == "template" and pk:
        return {"template": get_visible(JobTemplate.objects.all(), request.user, pk=pk)}
    if kind == "job" and pk:
        return {"request": blueprints.of_job(get_visible(_jobs(), request.user, pk=pk))}
    hint = "Choose a template, or press Repeat on the page of a job."
    raise InvalidInputError("Say what the schedule makes.", hint, fields={"source": [hint]})


def _context(request: HttpRequest, row: Schedule | None, values: dict[str, Any]) -> dict[str, Any]:
    kind, _, key = values.get("source", "").partition(":")
    job_pk = number_in(values.get("job")) or (number_in(key) if kind == "job" else None)
    job = get_visible(_jobs(), request.user, pk=job_pk) if job_pk else None
    if job:
        values = {"name": job.name, "source": f"job:{job.pk}"} | {key: value for key, value in values.items() if value}
    owner = row.owner if row else request.user
    return {
        "schedule": row,
        "values": values,
        "job": job,
        "templates": [
            (f"template:{row.pk}", row.name) for row in JobTemplate.objects.filter(owner=owner, required=[])[:200]
        ],
        "kinds": schedule_forms.KINDS,
        "units": schedule_forms.UNITS,
        "days": schedule_forms.day_choices(values),
        "overlaps": Schedule.Overlap.choices,
        "zones": sorted(zones()),
        **_preview(values),
    }


def _preview(values: dict[str, Any]) -> dict[str, Any]:
    try:
        words, times = schedules.preview(schedule_forms.rule(values), schedule_forms.zone(values))
    except ProblemError as problem:
        return {"preview_problem": problem}
    return {"preview_words": words, "preview_times": times}


def _find(request: HttpRequest, pk: int) -> Schedule:
    return get_visible(Schedule.objects.select_related("owner", "template", "last_job"), request.user, pk=pk)


def _jobs() -> Any:
    return Job.objects.select_related("dataset_version", "model_version")

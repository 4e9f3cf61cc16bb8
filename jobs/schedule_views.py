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
from common.errors import InvalidInputError, NotFoundError, ProblemError
from common.pages import clean, done, number_in, page_of, refused, show
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


@require_safe
def templates(request: HttpRequest) -> HttpResponse:
    rows = visible(JobTemplate.objects.select_related("owner"), request.user).order_by("name", "id")
    return show(request, "jobs/templates.html", "jobs/_templates.html", {"page": page_of(request, rows)})


@require_http_methods(["GET", "HEAD", "POST"])
def new_template(request: HttpRequest) -> HttpResponse:
    """Keep the request of a job under a name."""
    values = {key: clean(value) for key, value in (request.POST or request.GET).items()}
    if (key := number_in(values.get("job") or request.GET.get("job"))) is None:
        raise InvalidInputError("A template keeps the settings of a job.", "Press Save as template on the job's page.")
    job = get_visible(_jobs(), request.user, pk=key)
    context: dict[str, Any] = {"job": job, "name": values.get("name", job.name)}
    if request.method == "POST":
        try:
            template = blueprints.save(request.user, context["name"], blueprints.of_job(job))
        except ProblemError as problem:
            told = {"problem": problem, "errors": problem.fields}
            return render(request, "jobs/template_new.html", context | told, status=problem.status)
        messages.success(request, f"'{template.name}' is saved. Start jobs from it, or let it repeat.")
        return redirect("templates")
    return render(request, "jobs/template_new.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def edit_template(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a template another name, or the settings of a job whose number is typed."""
    row = get_visible(JobTemplate.objects.select_related("owner"), request.user, pk=pk)
    values = {"name": row.name, "job": ""} | {key: clean(value) for key, value in request.POST.items()}
    context: dict[str, Any] = {"template": row, "values": values, "used": row.schedules.count()}
    if request.method == "POST":
        try:
            changed = blueprints.change(row, name=values["name"], request=_settings_of(request, values["job"]))
        except ProblemError as problem:
            told = {"problem": problem, "errors": problem.fields}
            return render(request, "jobs/template_edit.html", context | told, status=problem.status)
        messages.success(request, f"'{changed.name}' is changed.")
        return redirect("templates")
    return render(request, "jobs/template_edit.html", context)


def _settings_of(request: HttpRequest, typed: str) -> dict[str, Any] | None:
    """The request of the job whose number was typed; None for nothing."""
    if not (text := typed.strip().removeprefix("#")):
        return None
    try:
        return blueprints.of_job(get_visible(_jobs(), request.user, pk=number_in(text) or 0))
    except NotFoundError:
        hint = "Look the job's number up in the list of jobs, or leave this empty."
        message = f"There is no job {text[:40]} for you."
        raise InvalidInputError(message, hint, fields={"job": [f"{message} {hint}"]}) from None


@require_http_methods(["GET", "HEAD", "POST"])
def template_action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Start a job of a template, or delete it; asked by GET, says what it means."""
    row = get_visible(JobTemplate.objects.select_related("owner"), request.user, pk=pk)
    if verb not in {"start", "delete"}:
        raise Http404
    if request.method != "POST":
        line = "A job with its settings is queued." if verb == "start" else "Jobs that were made of it stay."
        asked = {"title": f"{verb.capitalize()} '{row.name}'?", "lines": [line], "button": verb.capitalize()}
        asked |= {"action": reverse("template-action", args=[pk, verb]), "back": reverse("templates")}
        asked |= {"keep": "Leave it", "icon_name": "trash" if verb == "delete" else "player-play"}
        return show(request, "confirm.html", "parts/confirm.html", asked)
    try:
        if verb == "delete":
            blueprints.delete(row)
            return done(request, f"The template '{row.name}' is deleted.", reverse("templates"))
        job = blueprints.start(row.owner, row.request, schedules.database_now())
    except ProblemError as problem:
        return refused(request, problem, reverse("templates"))
    return done(request, f"'{job.name}' is in the queue.", reverse("job", args=[job.pk]))


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
        context |= {"problem": problem, "errors": problem.fields}
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
        "templates": [(f"template:{row.pk}", row.name) for row in JobTemplate.objects.filter(owner=owner)[:200]],
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

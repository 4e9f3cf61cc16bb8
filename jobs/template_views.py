"""Pages of templates: requests for jobs that are kept, and what whoever starts from them may change."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible, visible
from common.errors import InvalidInputError, NotFoundError, ProblemError
from common.pages import clean, done, number_in, page_of, refused, show
from jobs import blueprints, schedules, template_forms
from jobs.models import Job, JobTemplate


@require_safe
def templates(request: HttpRequest) -> HttpResponse:
    rows = visible(JobTemplate.objects.select_related("owner"), request.user).order_by("name", "id")
    page = page_of(request, rows)
    for row in page:
        row.asked, row.held = template_forms.in_words(row)
    return show(request, "jobs/templates.html", "jobs/_templates.html", {"page": page})


@require_http_methods(["GET", "HEAD", "POST"])
def new_template(request: HttpRequest) -> HttpResponse:
    """Keep the request of a job under a name."""
    values = {key: clean(value) for key, value in (request.POST or request.GET).items()}
    if (key := number_in(values.get("job") or request.GET.get("job"))) is None:
        raise InvalidInputError("A template keeps the settings of a job.", "Press Save as template on the job's page.")
    job = get_visible(_jobs(), request.user, pk=key)
    kept, rules = blueprints.of_job(job), template_forms.typed(request.POST)
    context: dict[str, Any] = {"job": job, "name": values.get("name", job.name)}
    context |= {"groups": template_forms.groups(request.user, kept, rules), "ruled": bool(rules)}
    if request.method == "POST":
        try:
            template = blueprints.save(request.user, context["name"], kept, **template_forms.lists(rules))
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
    sent = request.method == "POST"
    rules = template_forms.typed(request.POST) if sent else template_forms.of(row)
    context: dict[str, Any] = {"template": row, "values": values, "used": row.schedules.count()}
    context |= {"groups": template_forms.groups(row.owner, row.request, rules), "ruled": bool(rules)}
    if sent:
        try:
            wanted = _settings_of(request, values["job"])
            changed = blueprints.change(row, name=values["name"], request=wanted, **template_forms.lists(rules))
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
        job = blueprints.start_from(row, {}, schedules.database_now())
    except ProblemError as problem:
        return refused(request, problem, reverse("templates"))
    return done(request, f"'{job.name}' is in the queue.", reverse("job", args=[job.pk]))


def _jobs() -> Any:
    return Job.objects.select_related("dataset_version", "model_version")

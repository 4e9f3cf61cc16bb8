"""Pages about many jobs: dashboard, monitor, queue, list, nodes. What one can do there, verbs do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from common.access import get_visible, visible
from common.errors import ProblemError
from common.pages import (
    chosen,
    csv_response,
    form_of,
    number_in,
    ordering,
    page_of,
    partial,
    search_text,
    show,
    toasts,
    wants_fragment,
)
from engine.catalogue import RECIPES
from jobs import control, overview, pictures
from jobs.models import Attempt, Job
from jobs.states import ACTIVE, Status

SORTS = {"created": "created_at", "name": "name", "status": "status", "loss": "current_loss"}
MOST_AT_ONCE = 200
EXPORTED = 10_000
VERBS: dict[str, tuple[Callable[..., Job], str]] = {
    "pause": (control.pause, "paused"),
    "resume": (control.resume, "resumed"),
    "retry": (control.retry, "put into the queue again"),
    "cancel": (control.cancel, "cancelled"),
}


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/page.html", pictures.dashboard(request.user))


@require_safe
def monitor(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/monitor.html", "jobs/_monitor.html", pictures.monitor(request.user))


@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/queue.html", "jobs/_queue.html", pictures.queue(request.user))


@require_safe
def nodes(request: HttpRequest) -> HttpResponse:
    running = Attempt.objects.filter(ended_at__isnull=True)
    own = set(visible(running, request.user, "job__owner").values_list("job_id", flat=True))
    return render(request, "jobs/nodes.html", {"nodes": overview.nodes(), "own_jobs": own})


@require_safe
def jobs(request: HttpRequest) -> HttpResponseBase:
    found, context = _filtered(request)
    if request.GET.get("export") == "csv":
        return _csv(request, found)
    context |= {
        "page": page_of(request, found),
        "statuses": Status.choices,
        "recipes": RECIPES.values(),
    }
    return show(request, "jobs/list.html", "jobs/_list.html", context)


@form_of("jobs")
def batch(request: HttpRequest) -> HttpResponse:
    """One action on many jobs; those that it does not fit are named, the others are done."""
    one, _, key = request.POST.get("one", "").partition(":")
    if one in {"sooner", "later"}:
        job = get_visible(Job.objects.all(), request.user, pk=number_in(key))
        job = control.change(job, request.user, priority=job.priority + (1 if one == "sooner" else -1))
        messages.success(request, f"'{job.name}' has priority {job.priority} now.")
    else:
        _do_many(request, request.POST.get("action", ""))
    return _after_batch(request)


def _do_many(request: HttpRequest, action: str) -> None:
    ids = {number for key in request.POST.getlist("job") if (number := number_in(key)) is not None}
    if action not in VERBS or not ids:
        messages.warning(request, "No job was chosen. Tick the jobs first.")
        return
    verb, participle = VERBS[action]
    done = 0
    for job in visible(Job.objects.filter(pk__in=sorted(ids)[:MOST_AT_ONCE]), request.user).order_by("pk"):
        try:
            verb(job, request.user)
            done += 1
        except ProblemError as problem:
            messages.error(request, f"{problem.message} {problem.hint}")
    if done:
        messages.success(request, f"{done} {'job is' if done == 1 else 'jobs are'} being {participle}.")


def _after_batch(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}) and target.startswith("/")
    if not wants_fragment(request):
        return redirect(target if safe else reverse("jobs"))
    # The queue page is told by its stream; the list of jobs has none.
    return HttpResponse(mark_safe(toasts(request) + _list_part(request, target)))


def _list_part(request: HttpRequest, target: str) -> str:
    """The list of jobs as the open page filters it; empty when the page is another one."""
    path, _, query = target.partition("?")
    if path != reverse("jobs"):
        return ""
    request.GET = QueryDict(query)  # type: ignore[assignment]
    found, context = _filtered(request)
    return partial("#list", render_to_string("jobs/_list.html", context | {"page": page_of(request, found)}, request))


def _filtered(request: HttpRequest) -> tuple[QuerySet[Job], dict[str, Any]]:
    status = chosen(request, "status", [*Status.values, "active"])
    recipe = chosen(request, "recipe", RECIPES)
    search = search_text(request)
    asked, field = ordering(request, SORTS, "-created")
    found = overview.listed(request.user).order_by(field, "-id")
    if status:
        found = found.filter(status__in=ACTIVE if status == "active" else [status])
    if recipe:
        found = found.filter(recipe=recipe)
    if search:
        found = found.filter(name__icontains=search)
    filtered = bool(status or recipe or search)
    return found, {"status": status, "recipe": recipe, "search": search, "ordering": asked, "filtered": filtered}


def _csv(request: HttpRequest, found: QuerySet[Job]) -> HttpResponseBase:
    header = ["id", "name", "recipe", "status", "progress", "step", "loss", "validation_loss", "seconds", "created_at"]

    def rows() -> Iterator[list[Any]]:
        for job in found[:EXPORTED]:
            yield [
                job.pk, job.name, job.recipe, job.status, job.progress, job.current_step, job.current_loss,
                job.validation_loss, round(job.elapsed_seconds(), 1), job.created_at.isoformat(),
            ]  # fmt: skip

    return csv_response(request, "jobs", header, rows())

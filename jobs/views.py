"""Pages about many jobs: dashboard, monitor and the list of all jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common.by_id import ById
from common.pages import chosen, csv_response, ordering, page_of, search_text, show
from engine.catalogue import RECIPES
from jobs import overview, pictures
from jobs.models import Job
from jobs.states import ACTIVE, Priority, Status

SORTS = {"created": "created_at", "name": "name", "status": "status", "loss": "current_loss"}
EXPORTED = 10_000


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    return render(request, "dashboard/page.html", pictures.dashboard(request.user))


@require_safe
def monitor(request: HttpRequest) -> HttpResponse:
    return show(request, "jobs/monitor.html", "jobs/_monitor.html", pictures.monitor(request.user))


@require_safe
def jobs(request: HttpRequest) -> HttpResponseBase:
    found, context = filtered(request)
    if request.GET.get("export") == "csv":
        return _csv(request, found)
    context |= {
        "page": page_of(request, found, paginator=ById),
        "statuses": Status.choices,
        "recipes": RECIPES.values(),
    }
    return show(request, "jobs/list.html", "jobs/_list.html", context)


def filtered(request: HttpRequest) -> tuple[QuerySet[Job], dict[str, Any]]:
    """The jobs that the address asks for, and what the filters show."""
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
        found = overview.found_by(found, search)
    return found, {
        "status": status,
        "recipe": recipe,
        "search": search,
        "ordering": asked,
        "filtered": bool(status or recipe or search),
        "levels": Priority.choices,
    }


def _csv(request: HttpRequest, found: QuerySet[Job]) -> HttpResponseBase:
    header = ["id", "name", "recipe", "status", "progress", "step", "loss", "validation_loss", "seconds", "created_at"]

    def rows() -> Iterator[list[Any]]:
        for job in found[:EXPORTED]:
            yield [
                job.pk, job.name, job.recipe, job.status, job.progress, job.current_step, job.current_loss,
                job.validation_loss, round(job.elapsed_seconds(), 1), job.created_at.isoformat(),
            ]  # fmt: skip

    return csv_response(request, "jobs", header, rows())

"""The page of one job, its log, and what can be done with it."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible
from common.downloads import download
from common.pages import done, search_text, show
from datasets.models import Modality
from datasets.overview import holds_text_out
from engine.catalogue import RECIPES, config_class
from jobs import control, logs, metrics, pictures, presentation
from jobs.models import Job

FOUND_LINES = 300
VERBS = {"cancel": control.cancel, "pause": control.pause, "resume": control.resume, "retry": control.retry}


@require_safe
def job(request: HttpRequest, pk: int) -> HttpResponse:
    found = pictures.full_job(_find(request, pk))
    charts = presentation.charts(metrics.names(found))
    name = request.GET.get("chart", "")
    name = name if name in charts else next(iter(charts))
    context = pictures.job_context(found) | _search(found, search_text(request, "log"))
    context |= {"charts": list(charts), "chart_name": name, "lines": charts[name]}
    context |= {"series": json.dumps(charts[name]), "changed": _changed(found)}
    if frozen := found.dataset_version:
        modality = frozen.dataset.modality
        context |= {"files": modality == Modality.TEXT, "held_out": holds_text_out(modality, frozen.counts)}
    return render(request, "jobs/job.html", context)


@require_http_methods(["GET", "POST"])
def action(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Carries an action out; asked by GET, says what will be lost."""
    if name not in VERBS:
        raise Http404
    found = _find(request, pk)
    page = reverse("job", args=[pk])
    if request.method == "POST":
        changed = VERBS[name](found, request.user)
        return done(request, presentation.said(name, changed), page, stay=True)
    return show(request, "confirm.html", "parts/confirm.html", _question(found, name, page))


@require_safe
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """Lines of the log that hold what was typed."""
    return render(request, "jobs/_log_found.html", _search(_find(request, pk), search_text(request, "log")))


@require_safe
def log_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _find(request, pk)
    return download(request, logs.export(found), "text/plain; charset=utf-8", f"job-{found.pk}.log")


def _find(request: HttpRequest, pk: int) -> Job:
    return get_visible(Job.objects.all(), request.user, pk=pk)


def _search(found: Job, text: str) -> dict[str, Any]:
    lines = logs.read(found, limit=FOUND_LINES, search=text) if text else []
    return {"search": text, "found": lines, "limit": FOUND_LINES}


def _question(found: Job, name: str, page: str) -> dict[str, Any]:
    label = {"cancel": "Cancel"}.get(name, name.capitalize())
    lines = presentation.losses_of_cancelling(found) if name == "cancel" else ["It can be undone."]
    return {
        "title": f"{label} '{found.name}'?",
        "lines": lines,
        "action": reverse("job-action", args=[found.pk, name]),
        "back": page,
        "keep": "Let it go on",
        "button": f"{label} the job",
        "icon_name": "x",
    }


def _changed(found: Job) -> list[tuple[str, Any, Any]]:
    """Settings that are not the recipe's defaults: (title, value, default)."""
    if found.recipe not in RECIPES:
        return []
    fields = config_class(found.recipe).model_fields
    return [
        (field.title or name, found.config[name], field.default)
        for name, field in fields.items()
        if name in found.config and found.config[name] != field.default
    ]

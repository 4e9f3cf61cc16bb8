"""The page that compares runs, and what changed from one version of a model to the next."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.access import get_visible
from common.errors import InvalidInputError, ProblemError
from common.pages import chosen, refused, search_text, show, wants_fragment
from history.comparing import comparison, curves, looks, parallel, runs
from history.comparing.runs import Run
from registry.models import ModelVersion

OFFERED = 25  # runs to choose among


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """Chosen runs side by side; fewer than two, and there is something to choose from.

    HTMX gets the list to choose from, or, when it names a metric, the curves.
    """
    given = request.GET.getlist("runs")
    part = wants_fragment(request)
    try:
        keys = runs.read_keys(given)
        if len(given) > 1 and not part:  # boxes that were ticked: the address that can be shared names them by comma
            return redirect(_address(keys, search=search_text(request) if len(keys) < runs.LEAST else ""))
        found = runs.find(request.user, keys, least=0)
    except InvalidInputError as problem:
        if part:
            raise
        context = _picker(request, []) | {"problem": problem}
        return render(request, "history/compare.html", context, status=problem.status)
    if part and "metric" in request.GET:
        return render(request, "history/compare_curves.html", _curves(request, found))
    if part:
        return render(request, "history/compare_picker.html", _picker(request, found))
    return render(request, "history/compare.html", _context(request, found))


@require_safe
def ticked(request: HttpRequest) -> HttpResponse:
    """From a list in which runs were ticked to the page that compares them; what can't be is told on the list."""
    try:
        found = runs.find(request.user, runs.read_keys(request.GET.getlist("runs")))
    except ProblemError as problem:
        return refused(request, problem, reverse("history"))
    address = _address([str(run.key) for run in found])
    return HttpResponse(headers={"HX-Redirect": address}) if wants_fragment(request) else redirect(address)


@require_safe
def changes(request: HttpRequest, pk: int) -> HttpResponse:
    """A version of a model beside the one before it."""
    rows = ModelVersion.objects.select_related("model", "dataset_version__dataset", "base_version__model")
    version = get_visible(rows, request.user, "model__owner", pk=pk)
    found = comparison.since_before(version, request.user)
    context: dict[str, Any] = {"version": version, "found": found}
    if found and all(run.job for run in found.runs):
        context["address"] = _address([str(run.key) for run in found.runs])
    return show(request, "history/compare_changes_page.html", "history/compare_changes.html", context)


def _context(request: HttpRequest, found: list[Run]) -> dict[str, Any]:
    context = _picker(request, found)
    if len(found) < runs.LEAST:
        return context
    compared = comparison.compare(found)
    return context | _curves(request, found) | {"found": compared, "pictures": parallel.pictures(compared)}


def _picker(request: HttpRequest, found: list[Run]) -> dict[str, Any]:
    """What is chosen already, each with the address without it, and what else can be.

    HTMX sends the boxes that are ticked, too, beside `kept`, the runs of the page: they stay ticked, and come first.
    """
    search = search_text(request)
    kept = request.GET.get("kept")
    keys = [str(run.key) for run in found]
    page = keys if kept is None else [key for key in keys if key in kept.split(",")]
    ticked = [run.job for run in found if run.job and str(run.key) not in page]
    others = runs.recent(request.user, search).exclude(pk__in=[run.key for run in found])
    chosen_runs = [
        {"run": run, "look": look, "without": _address([key for key in keys if key != str(run.key)])}
        for run, look in zip(found, looks.looks(len(found)), strict=True)
    ]
    return {
        "chosen": chosen_runs, "keys": ",".join(keys), "search": search, "most": runs.MOST, "ticked": ticked,
        "offered": [*ticked, *others[:OFFERED]],
    }  # fmt: skip


def _curves(request: HttpRequest, found: list[Run]) -> dict[str, Any]:
    """One metric of all runs: what the chart asks for, and its numbers."""
    names, axes = curves.metrics(found), curves.axes(found)
    metric = chosen(request, "metric", names) or next(iter(names), "")
    axis = chosen(request, "x", axes) or "step"
    asked = {"runs": ",".join(str(run.key) for run in found), "metric": metric, "x": axis}
    series = [
        {"name": str(run.key), "label": _label(run), "known": True, "tone": look.tone, "dash": look.dash}
        for run, look in zip(found, looks.looks(len(found)), strict=True)
    ]
    source = f"{reverse('api-history-compare-curves')}?{urlencode(asked)}"
    return {
        "metric": metric, "metrics": names, "axis": axis, "axes": [(key, curves.AXES[key]) for key in axes],
        "axis_title": curves.AXES[axis], "series": json.dumps(series), "keys": asked["runs"],
        "csv": f"{source}&format=csv",
        "source": f"{source}&max_points={curves.drawn_points(len(found))}",
        "glances": list(zip(curves.glances(found, metric), looks.looks(len(found)), strict=True)) if metric else [],
    }  # fmt: skip


def _label(run: Run) -> str:
    return f"{run.name} #{run.key}"


def _address(keys: list[str], **more: str) -> str:
    asked = {"runs": ",".join(keys)} | {name: value for name, value in more.items() if value}
    return f"{reverse('history-compare')}?{urlencode(asked, safe=',')}"

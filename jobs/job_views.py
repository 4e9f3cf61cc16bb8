"""The page of one job, its log, and what can be done with it."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import downloads, wording
from common.access import get_visible
from common.downloads import download
from common.errors import ProblemError
from common.pages import chosen, clean, done, form_of, refused, search_text, show
from datasets.gating import gates
from datasets.models import Modality
from datasets.overview import holds_text_out
from engine.catalogue import RECIPES, config_class
from jobs import control, logs, metrics, pictures, placing, presentation, questions, repeating, samples
from jobs.generation.shown import makes_examples
from jobs.models import Job
from jobs.places import Move
from jobs.queue_views import moved
from jobs.reasons import places_of
from jobs.states import TERMINAL, Priority, Status

FOUND_LINES = 300


@require_safe
def job(request: HttpRequest, pk: int) -> HttpResponse:
    found = pictures.full_job(_find(request, pk))
    names = metrics.names(found)
    charts = presentation.example_charts(names) if makes_examples(found) else presentation.charts(names)
    name = request.GET.get("chart", "")
    name = name if name in charts else next(iter(charts))
    context = pictures.job_context(found) | _search(request, found)
    context |= {"charts": list(charts), "chart_name": name, "lines": charts[name]}
    context |= {"series": json.dumps(charts[name]), "changed": _changed(found)}
    context |= {"levels": Priority.choices, "limit_shown": placing.length_shown(found.max_seconds)}
    context |= {"stall_shown": placing.length_shown(found.stall_seconds), "stall_default": _stall_default()}
    if frozen := found.dataset_version:
        modality = frozen.dataset.modality
        context["left_out"] = gates.in_words(frozen.left_out)
        context |= {"files": modality == Modality.TEXT, "held_out": holds_text_out(modality, frozen.counts)}
    return render(request, "jobs/job.html", context)


@require_http_methods(["GET", "POST"])
def action(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Carries an action out; asked by GET, says what will be lost."""
    if name == presentation.AGAIN.name:
        return _again(request, pk)
    if name not in control.VERBS:
        raise Http404
    found = _find(request, pk)
    page = reverse("job", args=[pk])
    if request.method != "POST":
        return show(request, "confirm.html", "parts/confirm.html", questions.about(found, name))
    try:
        changed = control.VERBS[name](found, request.user)
    except ProblemError as problem:
        return refused(request, problem, page)
    told = moved(name, found, changed, request.user) if name in set(Move) else presentation.said(name, changed)
    return done(request, told, page, stay=True)


def _again(request: HttpRequest, pk: int) -> HttpResponse:
    """The same run once more; whoever opens this address later gets the page of the job."""
    page = reverse("job", args=[pk])
    found = _find(request, pk)
    if request.method != "POST":
        return redirect(page)
    try:
        made = repeating.again(found, request.user)
    except ProblemError as problem:
        return refused(request, problem, page)
    told = f"'{made.name}' runs again. When it has ended, its page compares both results."
    return done(request, told, reverse("job", args=[made.pk]))


@form_of("job")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Another priority, whether it gives way, and how long it may run."""
    found = _find(request, pk)
    typed = {key: clean(value) for key, value in request.POST.items()}
    wanted = {
        "priority": placing.priority(typed),
        "preemptible": bool(typed.get("preemptible")),
        "max_seconds": placing.length(typed, "max_seconds"),
        "stall_seconds": placing.length(typed, "stall_seconds"),
    }
    if found.status in TERMINAL:  # only a failed job's limits still mean something
        wanted = {name: wanted[name] for name in ("max_seconds", "stall_seconds")}
    changed = control.change(found, request.user, **wanted)
    return done(request, _changes(found, changed), reverse("job", args=[pk]), stay=True)


def _stall_default() -> str:
    """How long a job without a stall limit of its own may show no progress."""
    return wording.duration(settings.STALL_SECONDS)


def _changes(before: Job, after: Job) -> str:
    """What a change came to, and what comes next."""
    told = []
    if after.priority != before.priority:
        told.append(f"'{after.name}' has the priority {presentation.priority(after.priority)} now.")
        if after.status == Status.QUEUED:
            told.append(f"It is number {places_of([after.pk]).get(after.pk, 0) + 1:,} in line.")
    if after.preemptible != before.preemptible:
        told.append("It gives way to higher priorities." if after.preemptible else "It gives way to nobody any more.")
    if after.max_seconds != before.max_seconds:
        longest = f"for {wording.duration(after.max_seconds)} in all" if after.max_seconds else "as long as it needs"
        told.append(f"It may run {longest}.")
    if after.stall_seconds != before.stall_seconds:
        quiet = wording.duration(after.stall_seconds) if after.stall_seconds else _stall_default()
        told.append(f"It may be without progress for {quiet}.")
    if told and after.status == Status.FAILED:
        told.append("Retry goes on from its last checkpoint.")
    return " ".join(told) or f"'{after.name}' stays as it was: nothing else was chosen."


@require_safe
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """Lines of the log that hold what was typed, and are as bad as was asked for."""
    return render(request, "jobs/_log_found.html", _search(request, _find(request, pk)))


@require_safe
def log_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _find(request, pk)
    return download(request, logs.export(found), "text/plain; charset=utf-8", f"job-{found.pk}.log")


@require_safe
def metrics_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Every metric at every step."""
    found = _find(request, pk)
    return download(request, metrics.export_all(found), "text/csv; charset=utf-8", f"job-{found.pk}-metrics.csv")


@require_safe
def sample(request: HttpRequest, pk: int, step: int) -> HttpResponse:
    """A picture that the model made at a step."""
    return downloads.picture(*samples.picture(_find(request, pk), step))


def _find(request: HttpRequest, pk: int) -> Job:
    return get_visible(Job.objects.all(), request.user, pk=pk)


def _search(request: HttpRequest, found: Job) -> dict[str, Any]:
    text, level = search_text(request, "log"), chosen(request, "level", logs.LEVELS)
    lines = logs.read(found, limit=FOUND_LINES, search=text, level=level) if text or level else []
    told = {"search": text, "log_level": level, "looked": bool(text or level), "found": lines, "limit": FOUND_LINES}
    return told | {"log_levels": logs.LEVEL_WORDS.items()}


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

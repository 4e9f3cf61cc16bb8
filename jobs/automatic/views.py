"""The page of automatic training: settings, how far the next fine-tuning is, and those that were started."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.errors import ProblemError
from common.pages import clean, done, form_of, refused
from datasets.models import Dataset, Modality, Subject
from engine.catalogue import RECIPES
from jobs.automatic import mail, settings
from jobs.automatic.live import standing
from jobs.generation import sources
from jobs.models import AutomaticTraining, JobTemplate
from registry.versions import usable

CHOICES = 300
NUMBERS: dict[str, type] = {"minimum_quality": float, "examples": int, "threshold": int}
CHECKBOXES = ("enabled", "tell_by_mail")


@require_http_methods(["GET", "HEAD", "POST"])
def automatic(request: HttpRequest) -> HttpResponse:
    """The settings of all examples, or of the subject that the address names."""
    given = request.POST if request.method == "POST" else request.GET
    subject = settings.subject_of(request.user, clean(given.get("subject", "")))
    rule = settings.of(request.user, subject)
    context: dict[str, Any] = {"values": _present(rule)}
    status = 200
    if request.method == "POST":
        context["values"] = typed = {name: clean(value) for name, value in request.POST.items()}
        try:
            settings.change(request.user, subject, **_wanted(typed))
            return done(request, _said(settings.of(request.user, subject)), _address(subject))
        except ProblemError as problem:
            context |= {"problem": problem, "errors": problem.fields}
            status = problem.status
            rule = settings.of(request.user, subject)
    context["judges"] = sources.fitting(request.user, context["values"])["judge"]
    return render(request, "jobs/automatic.html", _context(request, rule) | context, status=status)


@form_of("automatic")
def start(request: HttpRequest) -> HttpResponse:
    """A run that generates, with what is stored."""
    subject = settings.subject_of(request.user, clean(request.POST.get("subject", "")))
    try:
        job, _ = settings.start(
            settings.of(request.user, subject), idempotency_key=clean(request.POST.get("key", ""))[:64]
        )
    except ProblemError as problem:
        return refused(request, problem, _address(subject))
    return done(request, f"'{job.name}' is in the queue.", reverse("job", args=[job.pk]))


def _wanted(typed: dict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {name: typed.get(name, "") for name in settings.FIELDS}
    values |= {name: _number(values[name], kind) for name, kind in NUMBERS.items()}
    return values | {name: bool(values[name]) for name in CHECKBOXES}


def _number(text: str, kind: type) -> float:
    """What was typed; a text that is no number becomes one that every check refuses."""
    try:
        return kind(text.strip().replace(",", "."))
    except ValueError:
        return -1


def _said(rule: AutomaticTraining) -> str:
    if not rule.enabled:
        return "It is saved. Examples are counted, and start nothing until you switch it on."
    if rule.dataset is None:
        return "It is saved. Examples stay with their run, so nothing starts by itself: choose a dataset for that."
    return f"It is saved. The next fine-tuning starts with {rule.threshold:,} new examples in '{rule.dataset.name}'."


def _address(subject: Subject | None) -> str:
    return reverse("automatic") + (f"?{urlencode({'subject': subject.pk})}" if subject else "")


def _present(rule: AutomaticTraining) -> dict[str, Any]:
    values = {name: getattr(rule, name) for name in settings.FIELDS if name not in settings.ROWS}
    values |= {name: str(getattr(rule, f"{name}_id") or "") for name in settings.ROWS}
    return values | {"minimum_quality": f"{rule.minimum_quality:g}"}


def _context(request: HttpRequest, rule: AutomaticTraining) -> dict[str, Any]:
    user = request.user
    bases = usable().filter(model__owner=user)
    texts = [entry for entry in RECIPES.values() if entry.modality == Modality.TEXT]
    return {
        "rule": rule,
        "section": "/jobs",
        "key": uuid.uuid4().hex,  # a second press starts no second run
        "subjects": Subject.objects.filter(owner=user).order_by("name")[:CHOICES],
        "datasets": Dataset.objects.filter(owner=user, modality=Modality.TEXT).order_by("name")[:CHOICES],
        "templates": JobTemplate.objects.filter(owner=user).order_by("name")[:CHOICES],
        "recipes": texts,
        "bases": bases.filter(model__recipe__in=[entry.name for entry in texts]).order_by("-pk")[:CHOICES],
        "askable": sources.offered(user),
        **standing(rule),
        "no_mail": mail.why_not(user),
    }

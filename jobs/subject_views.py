"""Pages about subjects: who can be trained and why not, starting many at once, and one subject."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible, visible
from common.errors import InvalidInputError, ProblemError
from common.pages import chosen, clean, csv_response, done, form_of, number_in, page_of, search_text, show
from datasets.models import Subject
from datasets.subjects import eligibility, subjects
from engine.catalogue import RECIPES
from jobs import starting
from jobs.candidates import candidates
from jobs.models import Job, JobTemplate
from jobs.subject_api import find_subjects, sorted_by
from jobs.subject_inputs import ORDERINGS, summed

PER_PAGE = 100
STATES = {"ready": "can start now", "eligible": "eligible", "not": "not eligible"}
DEFAULT_RECIPE = "text-generation"


@require_safe
def all_subjects(request: HttpRequest) -> HttpResponseBase:
    search = search_text(request)
    recipe = chosen(request, "recipe", RECIPES) or DEFAULT_RECIPE
    state = chosen(request, "state", STATES)
    sort = chosen(request, "sort", [*ORDERINGS, *(f"-{name}" for name in ORDERINGS)]) or "name"
    rows = eligibility.visible_subjects(request.user).order_by("name", "id")
    kinds = sorted(set(rows.order_by().values_list("kind", flat=True).distinct()[:200]) - {""})
    kind = chosen(request, "kind", kinds)
    if search:
        rows = rows.filter(name__icontains=search)
    if kind:
        rows = rows.filter(kind=kind)
    found = candidates(list(rows), recipe)
    counts = {
        "all": len(found),
        "eligible": sum(one.eligible for one in found),
        "ready": sum(one.ready for one in found),
    }
    wanted = {"ready": lambda one: one.ready, "eligible": lambda one: one.eligible, "not": lambda one: not one.eligible}
    if state:
        found = [one for one in found if wanted[state](one)]
    found = sorted_by(found, sort)
    if request.GET.get("export") == "csv":
        header = ["id", "name", "kind", "eligible", "reasons", "obstacle", "responses", "words", "categories", "hours",
                  "quality", "expected_seconds"]  # fmt: skip
        cells = (
            [one.subject.pk, one.subject.name, one.subject.kind, one.eligible, "; ".join(one.reasons), one.obstacle,
             one.figures.responses, one.figures.words, one.figures.categories, round(one.figures.hours, 3),
             one.figures.quality, one.estimate.seconds]
            for one in found
        )  # fmt: skip
        return csv_response(request, "subjects", header, cells)
    context = {
        "page": page_of(request, found, PER_PAGE), "search": search, "recipe": recipe, "recipes": RECIPES.values(),
        "state": state, "states": STATES.items(), "kind": kind, "kinds": kinds, "ordering": sort, "counts": counts,
        "filtered": bool(search or state or kind), "idempotency_key": uuid.uuid4().hex,
        "templates": visible(JobTemplate.objects.all(), request.user).order_by("name")[:200],
    }  # fmt: skip
    return show(request, "subjects/list.html", "subjects/_list.html", context)


@form_of("subjects")
def start(request: HttpRequest) -> HttpResponse:
    """A job for each chosen subject, and what came of each."""
    keys = [key for text in request.POST.getlist("subject") if (key := number_in(text))]
    wanted = find_subjects(request.user, keys)
    template = _template(request)
    recipe = "" if template else clean(request.POST.get("recipe", ""))
    if not template and recipe not in RECIPES:
        raise InvalidInputError("Choose a recipe.", "It says what is trained.")
    key = clean(request.POST.get("idempotency_key", ""))[:64]
    results = starting.start(request.user, wanted, recipe=recipe, template=template, key=key)
    context = {
        "results": results, "started": sum(one.job is not None for one in results),
        "refused": sum(one.job is None for one in results),
    }  # fmt: skip
    return render(request, "subjects/started.html", context)


@form_of("subjects")
def estimate(request: HttpRequest) -> HttpResponse:
    """What jobs for the chosen subjects would take, as a sentence."""
    keys = [key for text in request.POST.getlist("subject") if (key := number_in(text))]
    wanted = find_subjects(request.user, keys[: starting.AT_ONCE])
    template = _template(request)
    kept = template.request if template else {}
    recipe = kept.get("recipe") or chosen_recipe(request)
    found = candidates(wanted, recipe, None, kept.get("config"), kept.get("resources")) if wanted else []
    context = {"chosen": len(found), "ready": sum(one.ready for one in found), "sum": summed(found) if found else None}
    return render(request, "subjects/_estimate.html", context)


def chosen_recipe(request: HttpRequest) -> str:
    recipe = request.POST.get("recipe", "")
    return recipe if recipe in RECIPES else DEFAULT_RECIPE


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    values = {key: clean(value) for key, value in request.POST.items()}
    if request.method == "POST":
        try:
            made = subjects.create(
                request.user, name=values.get("name", ""), kind=values.get("kind", ""),
                attributes=read_attributes(values.get("attributes", "")),
            )  # fmt: skip
        except ProblemError as problem:
            told = {"values": values, "problem": problem, "errors": problem.fields}
            return render(request, "subjects/new.html", told, status=problem.status)
        messages.success(request, f"'{made.name}' is made. Now give it data.")
        return redirect("subject", pk=made.pk)
    return render(request, "subjects/new.html", {"values": values})


@require_safe
def subject(request: HttpRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    recipe = chosen(request, "recipe", RECIPES) or DEFAULT_RECIPE
    (one,) = candidates([found], recipe)
    others = Subject.objects.filter(owner=found.owner).exclude(pk=pk).order_by("name")[:200]
    jobs = Job.objects.filter(subject=found).select_related("model_version__model").order_by("-id")[:20]
    context = {
        "subject": found, "one": one, "recipe": recipe, "recipes": RECIPES.values(), "jobs": jobs, "others": others,
        "asks": eligibility.in_words(one.policy.criteria), "datasets": found.datasets.order_by("name")[:100],
        "models": found.models.order_by("name")[:100], "form_values": _values(found),
        "idempotency_key": uuid.uuid4().hex,
    }  # fmt: skip
    return render(request, "subjects/subject.html", context)


@form_of("subject")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    values = {key: clean(value) for key, value in request.POST.items()}
    changed = subjects.change(
        _find(request, pk), name=values.get("name", ""), kind=values.get("kind", ""),
        attributes=read_attributes(values.get("attributes", "")),
    )  # fmt: skip
    return done(request, f"'{changed.name}' is changed.", reverse("subject", args=[pk]))


@form_of("subject")
def merge(request: HttpRequest, pk: int) -> HttpResponse:
    """Another subject becomes a part of this one; first asked whether that is meant."""
    into = _find(request, pk)
    other = get_visible(Subject.objects.all(), request.user, pk=number_in(request.POST.get("other")) or 0)
    if "sure" not in request.POST:
        context = {
            "title": f"Merge '{other.name}' into '{into.name}'?", "keep": "Leave them", "button": "Merge them",
            "lines": [f"All that is about '{other.name}' is about '{into.name}' then.", "It can't be undone."],
            "action": reverse("subject-merge", args=[pk]), "back": reverse("subject", args=[pk]), "icon_name": "users",
            "kept": [("other", other.pk), ("sure", 1)],
        }  # fmt: skip
        return show(request, "confirm.html", "parts/confirm.html", context)
    subjects.merge(into, [other])
    text = f"'{other.name}' is a part of '{into.name}' now: its items, datasets, jobs and models are about it."
    return done(request, text, reverse("subject", args=[pk]))


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    if request.method == "POST":
        subjects.delete(found)
        return done(request, f"'{found.name}' is deleted. Its data stay.", reverse("subjects"))
    context = {
        "title": f"Delete the subject '{found.name}'?", "keep": "Keep it", "button": "Delete the subject",
        "lines": ["Its datasets and items stay, and are about nobody then."], "icon_name": "trash",
        "action": reverse("subject-delete", args=[pk]), "back": reverse("subject", args=[pk]),
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", context)


def read_attributes(text: str) -> dict[str, Any]:
    """Lines 'name: value' as attributes; a value that is a number, true or false is kept as one."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip():
            message = f"'{line.strip()[:60]}' is no attribute."
            raise InvalidInputError(
                message, "Write one on each line, as name: value.", fields={"attributes": [message]}
            )
        found[name.strip()] = _value(value.strip())
    return found


def written_attributes(attributes: dict[str, Any]) -> str:
    """Attributes as lines that `read_attributes` takes."""
    return "\n".join(
        f"{name}: {str(value).lower() if isinstance(value, bool) else value}" for name, value in attributes.items()
    )


def _values(of: Subject) -> dict[str, str]:
    return {"name": of.name, "kind": of.kind, "attributes": written_attributes(of.attributes)}


def _value(text: str) -> str | int | float | bool:
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text) if text.isascii() and len(text) < 20 else text
        except ValueError:
            continue
    return text


def _template(request: HttpRequest) -> JobTemplate | None:
    text = request.POST.get("template", "")
    if not text:
        return None
    if (key := number_in(text)) is None:
        raise Http404
    return get_visible(JobTemplate.objects.all(), request.user, pk=key)


def _find(request: HttpRequest, pk: int) -> Subject:
    return get_visible(eligibility.visible_subjects(request.user), request.user, pk=pk)

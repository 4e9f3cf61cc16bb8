"""Pages about models and versions; a version can be tried here."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Max, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import downloads
from common.access import get_visible, visible
from common.downloads import download, file_pieces
from common.errors import InvalidInputError, NotFoundError, ProblemError
from common.pages import (
    chosen,
    clean,
    csv_response,
    done,
    form_of,
    ordering,
    page_of,
    partial,
    refused,
    search_text,
    show,
    wants_fragment,
)
from engine.catalogue import RECIPES
from registry import figures, live, merging, reports, trying
from registry.answers import answers
from registry.artifacts import open_file
from registry.lineage import lineage
from registry.models import Merge, Model, ModelVersion
from registry.prediction import Prediction, can_be_tried, predict, recipe_of
from registry.versions import listed

SORTS = {"created": "created_at", "name": "name", "versions": "version_count", "latest": "latest_at"}


@require_safe
def models(request: HttpRequest) -> HttpResponseBase:
    recipe = chosen(request, "recipe", RECIPES)
    search = search_text(request)
    asked, field = ordering(request, SORTS, "-latest")
    newest = ModelVersion.objects.filter(model=OuterRef("pk"), status=ModelVersion.Status.READY).order_by("-number")
    found = visible(Model.objects.select_related("owner"), request.user).annotate(
        version_count=Count("versions"),
        latest_at=Max("versions__created_at"),
        latest_id=Subquery(newest.values("pk")[:1]),
        latest_number=Subquery(newest.values("number")[:1]),
        latest_metrics=Subquery(newest.values("metrics")[:1]),
    )
    found = found.order_by(field, "-id")
    if recipe:
        found = found.filter(recipe=recipe)
    if search:
        found = found.filter(name__icontains=search)
    if request.GET.get("export") == "csv":
        rows = found.values_list("id", "name", "recipe", "version_count", "latest_number")[:10_000]
        return csv_response(request, "models", ["id", "name", "recipe", "versions", "latest_version"], rows)
    context = {
        "page": page_of(request, found), "recipe": recipe, "search": search, "ordering": asked,
        "recipes": [entry for entry in RECIPES.values() if not entry.simulator], "filtered": bool(recipe or search),
    }  # fmt: skip
    return show(request, "registry/models.html", "registry/_models.html", context)


@require_safe
def model(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_visible(Model.objects.select_related("owner", "subject"), request.user, pk=pk)
    page = page_of(request, listed().filter(model=found).order_by("-number"))
    names = figures.headlines({name: None for version in page for name in version.metrics}, found.recipe, 5)
    context = {"model": found, "page": page, "names": names, "recipe": RECIPES.get(found.recipe)}
    return show(request, "registry/model.html", "registry/_versions.html", context)


@require_safe
def version(request: HttpRequest, pk: int) -> HttpResponse:
    return show(request, "registry/version.html", "registry/_version.html", _context(request, _find(request, pk)))


@require_http_methods(["GET", "HEAD", "POST"])
def merge(request: HttpRequest, pk: int) -> HttpResponse:
    """Merge an adapter into its base; asked by GET, says what that means."""
    found = _find(request, pk)
    back = reverse("version", args=[pk])
    if request.method == "POST":
        try:
            made = merging.merge(found, request.user)
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(
            request, f"{made.version} is being merged. Watch it here.", reverse("version", args=[made.version_id])
        )
    asked: dict[str, Any] = {
        "title": f"Merge {found} into its base?", "button": "Merge", "icon_name": "box", "keep": "Leave it",
        "action": reverse("version-merge", args=[pk]), "back": back,
        "lines": [
            "It becomes one more version of this model: the whole model, which needs neither adapter nor base.",
            "That takes as much of the disk as the base, and up to some minutes. The adapter stays as it is.",
        ],
    }  # fmt: skip
    if reason := merging.why_not(found):
        asked |= {"title": f"{found} can't be merged", "button": "", "keep": "Close", "lines": [reason]}
    return show(request, "confirm.html", "parts/confirm.html", asked)


@form_of("version")
def try_it(request: HttpRequest, pk: int) -> HttpResponse:
    """What the version makes of what was typed or chosen."""
    found = _find(request, pk)
    typed = {key: clean(value) for key, value in request.POST.items()}
    files = request.FILES.getlist("files")
    made: Prediction | None = None
    problem: InvalidInputError | None = None
    try:
        form = trying.form_of(recipe_of(found))
        made = predict(found, list(trying.inputs_of(form, typed, files)), trying.parameters_of(form, typed))
    except InvalidInputError as error:
        problem = error
    names = [file.name or "" for file in files]
    shown = {"made": made, "problem": problem, "answers": answers(made.outputs, names) if made else [], "typed": typed}
    if wants_fragment(request):
        return HttpResponse(partial("#prediction", render_to_string("registry/_prediction.html", shown, request)))
    return render(request, "registry/version.html", _context(request, found) | shown, status=400 if problem else 200)


@require_safe
def file(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """A file of the version, by its place in the list."""
    found = _find(request, pk)
    if not 0 <= number < len(found.artifact):
        raise NotFoundError(f"{found} has no such file.", "See the list of its files.")
    opened, size = open_file(found, found.artifact[number]["name"])
    response = download(request, file_pieces(opened), "application/octet-stream", found.artifact[number]["name"])
    response.headers["Content-Length"] = str(size)
    return response


@require_safe
def picture(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """A picture of the version's report."""
    return downloads.picture(*reports.picture(_find(request, pk), name))


def _find(request: HttpRequest, pk: int) -> ModelVersion:
    return get_visible(listed(), request.user, "model__owner", pk=pk)


def _context(request: HttpRequest, found: ModelVersion) -> dict[str, Any]:
    return {
        "version": found,
        "recipe": RECIPES.get(found.model.recipe),
        "lineage": lineage(found, request.user),
        "can_be_tried": can_be_tried(found),
        **_merging(found),
        "form": trying.form_of(RECIPES[found.model.recipe]) if can_be_tried(found) else None,
        "figures": figures.shown(found.metrics, found.model.recipe),
        "report": reports.report_of(found),
        "siblings": listed().filter(model=found.model).order_by("-number")[:12],
    }


def _merging(found: ModelVersion) -> dict[str, Any]:
    """How the version was merged or can be, and what an open page of it has seen of that."""
    known = merging.merge_of(found)
    can = (known is None or known.status == Merge.Status.FAILED) and not merging.why_not(found)
    return {"merge": known, "can_be_merged": can, "seen": live.seen(found) if known or can else ""}

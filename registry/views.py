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
from registry import examples, figures, live, merging, reports, routing, trying
from registry.access import get_model, get_version, models_for, owns
from registry.answers import answers
from registry.artifacts import open_file
from registry.cards import notes
from registry.life.views import life
from registry.lineage import lineage
from registry.logged.views import in_use as logged_use
from registry.models import Merge, Model, ModelVersion
from registry.prediction import Prediction, can_be_tried, predict, recipe_of
from registry.promotion import shown as names_shown
from registry.promotion.approvers import waiting_for
from registry.serving import pages as serving
from registry.versions import in_sight, listed, usable

SORTS = {"created": "created_at", "name": "name", "versions": "version_count", "latest": "latest_at"}


@require_safe
def models(request: HttpRequest) -> HttpResponseBase:
    recipe = chosen(request, "recipe", RECIPES)
    search = search_text(request)
    asked, field = ordering(request, SORTS, "-latest")
    newest = usable().filter(model=OuterRef("pk")).order_by("-number")
    found = models_for(request.user, Model.objects.select_related("owner")).annotate(
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
        "waiting": waiting_for(request.user).count(),
    }  # fmt: skip
    return show(request, "registry/models.html", "registry/_models.html", context)


@require_safe
def model(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_model(request.user, pk)
    rows = listed().filter(model=found).order_by("-number")
    everything = chosen(request, "show", ["all"]) == "all"
    page = page_of(request, rows if everything else in_sight(rows))
    names = figures.headlines({name: None for version in page for name in version.metrics}, found.recipe, 5)
    context = {"model": found, "page": page, "names": names, "recipe": RECIPES.get(found.recipe)}
    context |= {"everything": everything, "hidden": rows.count() - in_sight(rows).count()}
    context |= names_shown.of_model(request.user, found)
    if not wants_fragment(request):
        context |= logged_use(request, found) | serving.context(request, found)
        context |= {"card_notes": notes.told(notes.of(found)), "keeps": owns(request.user, found)}
        context["route"] = routing.open_arms(found)
    return show(request, "registry/model.html", "registry/_versions.html", context)


@require_safe
def version(request: HttpRequest, pk: int) -> HttpResponse:
    """A version; `?example=` with one of its examples in the form."""
    found = _find(request, pk)
    context = _context(request, found)
    if can_be_tried(found) and (given := examples.chosen(found, request.user, request.GET.get("example", ""))):
        context |= {"given": given, "typed": {"prompt": given.text}}
    return show(request, "registry/version.html", "registry/_version.html", context)


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
    """What the version makes of what was typed or chosen, or of an example."""
    found = _find(request, pk)
    typed = {key: clean(value) for key, value in request.POST.items()}
    files = request.FILES.getlist("files")
    made: Prediction | None = None
    problem: InvalidInputError | None = None
    form = trying.form_of(recipe_of(found))
    given = None if files else examples.chosen(found, request.user, typed.get("example", ""))
    try:
        whole = [given.data()] if given and form.kind == "file" else trying.inputs_of(form, typed, files)
        made = predict(found, list(whole), trying.parameters_of(form, typed))
    except InvalidInputError as error:
        problem = error
    said = answers(made.outputs, [file.name or "" for file in files]) if made else []
    truth = given.told(form, typed.get("prompt", ""), said[0].label) if given and said else ""
    shown = {"made": made, "problem": problem, "answers": said, "typed": typed, "truth": truth}
    if wants_fragment(request):
        return HttpResponse(partial("#prediction", render_to_string("registry/_prediction.html", shown, request)))
    shown |= {"given": given}
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
    return get_version(request.user, pk)


def _context(request: HttpRequest, found: ModelVersion) -> dict[str, Any]:
    report = reports.report_of(found)
    return {
        "version": found,
        "recipe": RECIPES.get(found.model.recipe),
        "lineage": lineage(found, request.user),
        "can_be_tried": can_be_tried(found),
        **_merging(found),
        **names_shown.of_version(found),
        "form": trying.form_of(RECIPES[found.model.recipe]) if can_be_tried(found) else None,
        "examples": examples.examples(found, request.user) if can_be_tried(found) else [],
        "figures": figures.shown(found.metrics, found.model.recipe),
        "report": report,
        "siblings": in_sight(listed().filter(model=found.model), found.pk).order_by("-number")[:12],
        **life(request.user, found, report),
    }


def _merging(found: ModelVersion) -> dict[str, Any]:
    """How the version was merged or can be, and what an open page of it has seen of that."""
    known = merging.merge_of(found)
    open_to = known is None or known.status == Merge.Status.FAILED or known.version.standing == "deleted"
    can = open_to and not merging.why_not(found)
    return {"merge": known, "can_be_merged": can, "seen": live.seen(found) if known or can else ""}

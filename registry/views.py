"""Pages about models and versions; a version can be tried here."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Max, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from common import downloads
from common.access import get_visible, visible
from common.downloads import download, file_pieces
from common.errors import InvalidInputError, NotFoundError
from common.pages import (
    chosen,
    clean,
    csv_response,
    form_of,
    ordering,
    page_of,
    partial,
    search_text,
    show,
    wants_fragment,
)
from engine.catalogue import RECIPES
from registry import reports
from registry.artifacts import open_file
from registry.lineage import lineage
from registry.models import Model, ModelVersion
from registry.prediction import Prediction, can_be_tried, predict
from registry.templatetags.registry_ui import ordered
from registry.versions import listed

SORTS = {"created": "created_at", "name": "name", "versions": "version_count", "latest": "latest_at"}
MAX_FILE = 32 * 1024 * 1024
MAX_FILES = 16
LONGEST_PROMPT = 20_000
# What may be set when a text is made: (name, title, default, lowest, highest, whole number?)
TEXT_PARAMETERS = (
    ("max_new_tokens", "Length in tokens", "200", 1, 1000, True),
    ("temperature", "Temperature", "0.8", 0, 5, False),
    ("top_k", "Best candidates only", "", 1, 100_000, True),
    ("seed", "Seed", "", 0, 2**63 - 1, True),
)


@require_safe
def models(request: HttpRequest) -> HttpResponseBase:
    recipe = chosen(request, "recipe", RECIPES)
    search = search_text(request)
    asked, field = ordering(request, SORTS, "-latest")
    newest = ModelVersion.objects.filter(model=OuterRef("pk")).order_by("-number")
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
    names = [name for name, _ in ordered({name: 0 for version in page for name in version.metrics})][:5]
    context = {"model": found, "page": page, "names": names, "recipe": RECIPES.get(found.recipe)}
    return show(request, "registry/model.html", "registry/_versions.html", context)


@require_safe
def version(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "registry/version.html", _context(request, _find(request, pk)))


@form_of("version")
def try_it(request: HttpRequest, pk: int) -> HttpResponse:
    """What the version makes of a prompt, or of pictures."""
    found = _find(request, pk)
    typed = {key: clean(value) for key, value in request.POST.items()}
    recipe = RECIPES.get(found.model.recipe)
    made: Prediction | None = None
    problem: InvalidInputError | None = None
    try:
        inputs = _pictures(request) if recipe and recipe.modality == "image" else [_prompt(typed)]
        made = predict(found, list(inputs), _parameters(typed) if recipe and recipe.output == "text" else {})
    except InvalidInputError as error:
        problem = error
    names = [file.name for file in request.FILES.getlist("files")]
    shown = {"made": made, "problem": problem, "answers": _answers(made, names), "typed": typed}
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
        "parameters": TEXT_PARAMETERS,
        "report": reports.report_of(found),
        "siblings": listed().filter(model=found.model).order_by("-number")[:12],
    }


def _prompt(typed: dict[str, str]) -> str:
    prompt = typed.get("prompt", "").replace("\r\n", "\n")
    if len(prompt) > LONGEST_PROMPT:
        raise InvalidInputError(f"The prompt is longer than {LONGEST_PROMPT:,} characters.", "Shorten it.")
    return prompt


def _pictures(request: HttpRequest) -> list[bytes]:
    files = request.FILES.getlist("files")
    if not 1 <= len(files) <= MAX_FILES:
        raise InvalidInputError("Choose a picture first.", f"One to {MAX_FILES} pictures at a time.")
    if any(file.size > MAX_FILE for file in files):
        raise InvalidInputError("A picture is larger than 32 MiB.", "Choose a smaller one.")
    return [file.read() for file in files]


def _parameters(typed: dict[str, str]) -> dict[str, Any]:
    """The parameters that were given; what is empty is left to the model. InvalidInputError names a wrong one."""
    given: dict[str, Any] = {}
    for name, title, _, low, high, whole in TEXT_PARAMETERS:
        text = typed.get(name, "").strip()
        if not text:
            continue
        try:
            value = int(text) if whole else float(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            message = f"{title}: write a {'whole ' if whole else ''}number from {low} to {high}."
            raise InvalidInputError(message, "Correct it and try again.", fields={name: [message]})
        given[name] = value
    return given


def _answers(made: Prediction | None, names: list[str]) -> list[dict[str, Any]]:
    """Outputs with the names of their files, most likely label first."""
    if made is None:
        return []
    answers = []
    for number, output in enumerate(made.outputs):
        ranked = sorted((output.get("probabilities") or {}).items(), key=lambda pair: -pair[1])
        name = names[number] if number < len(names) else ""
        answers.append({"name": name, "output": output, "ranked": ranked})
    return answers

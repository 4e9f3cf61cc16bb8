"""Imports on a dataset's page: from elsewhere, read again, cancelled."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.access import get_visible
from common.errors import ProblemError
from common.pages import clean, done, form_of, refused, show
from datasets import overview
from datasets.intake import again, cancelling, imports, options
from datasets.models import Import
from datasets.sources import origins


@form_of("dataset")
def import_from(request: HttpRequest, pk: int) -> HttpResponse:
    """Have files fetched from a web address, a bucket or a folder of the server."""
    found = get_visible(overview.listed(), request.user, pk=pk)
    given = {name: clean(value) for name, value in request.POST.items()}
    named = origins.FIELDS.get(given.get("kind", ""), set())
    origin = {"kind": given.get("kind", "")} | {name: given[name] for name in named if given.get(name)}
    made = imports.start_from(found, request.user, origin, options.from_form(given))
    text = f"The files of {origins.shown(made.origin)} are fetched in the background; watch it here."
    return done(request, text, reverse("dataset", args=[pk]), stay=True)


@form_of("dataset")
def import_again(request: HttpRequest, pk: int, import_id: int) -> HttpResponse:
    """Read the tables of an import again, with corrections."""
    source = _find(request, pk, import_id)
    given = {name: clean(value) for name, value in request.POST.items()}
    again.import_again(source, request.user, options.from_form(given))
    text = "The tables are read again in the background; watch it here."
    return done(request, text, reverse("dataset", args=[pk]), stay=True)


@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, pk: int, import_id: int) -> HttpResponse:
    """End an import where it stands; asks first."""
    source, page = _find(request, pk, import_id), reverse("dataset", args=[pk])
    if request.method == "POST":
        try:
            ended = cancelling.cancel_import(source, request.user)
        except ProblemError as problem:
            return refused(request, problem, page)
        return done(request, ended.message, page, stay=True)
    lines = ["What it took in stays. Its other files are not read; to have them, send them again."]
    context = {
        "action": reverse("dataset-import-cancel", args=[pk, import_id]), "back": page, "keep": "Let it go on",
        "title": "Cancel the import?", "button": "Cancel the import", "icon_name": "x", "lines": lines,
    }  # fmt: skip
    if source.finished_at is not None:
        context |= {"title": "The import has ended", "lines": [source.message], "button": "", "keep": "Close"}
    return show(request, "confirm.html", "parts/confirm.html", context)


def _find(request: HttpRequest, pk: int, import_id: int) -> Import:
    rows = Import.objects.select_related("dataset").filter(dataset=pk)
    return get_visible(rows, request.user, "dataset__owner", pk=import_id)

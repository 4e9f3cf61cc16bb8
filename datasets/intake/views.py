"""The part 'From elsewhere' of a dataset's page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from common.access import get_visible
from common.pages import clean, done, form_of
from datasets import overview
from datasets.intake import again, imports, options
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
    rows = Import.objects.select_related("dataset").filter(dataset=pk)
    source = get_visible(rows, request.user, "dataset__owner", pk=import_id)
    given = {name: clean(value) for name, value in request.POST.items()}
    again.import_again(source, request.user, options.from_form(given))
    text = "The tables are read again in the background; watch it here."
    return done(request, text, reverse("dataset", args=[pk]), stay=True)

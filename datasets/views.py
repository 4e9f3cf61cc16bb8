"""Pages about datasets: list, new, and one dataset with its imports, items, versions and split."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import wording
from common.access import get_visible, visible
from common.errors import InvalidInputError, ProblemError
from common.pages import (
    chosen,
    clean,
    csv_response,
    done,
    form_of,
    number_in,
    ordering,
    page_of,
    search_text,
    show,
    wants_fragment,
)
from datasets import creation, live, overview
from datasets.freezing import versions
from datasets.freezing.splits import CONTENT, KEY, RULE_WORDS
from datasets.intake import imports, options
from datasets.items import views as item_views
from datasets.models import Dataset, Import, Modality, Refusal
from datasets.reasons import KIND_WORDS

SORTS = {"created": "created_at", "name": "name", "items": "item_count", "size": "byte_count", "changed": "updated_at"}
KINDS = [{"value": value, "title": title, "words": KIND_WORDS[value]} for value, title in Modality.choices]
NAMED_JOBS = 3
SHARES = {"validation_fraction": "0.1", "test_fraction": "0", "seed": "0", "split_by": CONTENT, "split_key": KEY}


@require_safe
def datasets(request: HttpRequest) -> HttpResponseBase:
    modality = chosen(request, "modality", Modality.values)
    search = search_text(request)
    asked, field = ordering(request, SORTS, "-created")
    found = visible(overview.listed(), request.user).order_by(field, "-id")
    if modality:
        found = found.filter(modality=modality)
    if search:
        found = found.filter(name__icontains=search)
    if request.GET.get("export") == "csv":
        rows = found.values_list("id", "name", "modality", "status", "item_count", "byte_count")[:10_000]
        return csv_response(request, "datasets", ["id", "name", "modality", "status", "items", "bytes"], rows)
    context = {
        "page": page_of(request, found), "modality": modality, "search": search, "ordering": asked,
        "modalities": Modality.choices, "filtered": bool(modality or search),
    }  # fmt: skip
    return show(request, "datasets/list.html", "datasets/_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    values = {key: clean(value) for key, value in request.POST.items()}
    context: dict[str, Any] = {"values": {"modality": Modality.IMAGE.value} | values, "kinds": KINDS}
    if request.method != "POST":
        return render(request, "datasets/new.html", context)
    try:
        made, _ = creation.create_dataset(
            request.user, name=values.get("name", ""), modality=values.get("modality", ""),
            description=values.get("description", "")[:5000],
        )  # fmt: skip
    except ProblemError as problem:
        fields = problem.fields or problem.extra.get("fields", {})
        return render(
            request, "datasets/new.html", context | {"problem": problem, "errors": fields}, status=problem.status
        )
    messages.success(request, f"'{made.name}' is made. Now add files to it.")
    return redirect("dataset", pk=made.pk)


@require_safe
def dataset(request: HttpRequest, pk: int) -> HttpResponseBase:
    found = _find(request, pk)
    if request.GET.get("export") in {"csv", "zip"}:
        return item_views.export(request, found)
    labels = overview.label_counts(found)
    unlabelled = next((entry.count for entry in labels if not entry.label), 0)
    context = {
        "dataset": found, "labels": labels, **item_views.listing(request, found),
        "unlabelled": unlabelled if found.modality == Modality.IMAGE else 0,
    }  # fmt: skip
    if request.GET.get("part") == "classes":
        return render(request, "datasets/_class_filter.html", context)
    if not wants_fragment(request):
        context |= live.context(found)
        context |= {"used": _used(found), "values": SHARES, "split_rules": RULE_WORDS.items()}
        # Counting what a split of very many items would give takes seconds: it is done when someone asks.
        later = {"counts": None, "split_later": True}
        context |= _split(found, SHARES) if found.item_count <= overview.SPLIT_AT_ONCE else later
    return show(request, "datasets/dataset.html", "datasets/_items.html", context)


@form_of("dataset")
def upload(request: HttpRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    reading = options.from_form({name: clean(value) for name, value in request.POST.items()})
    made = imports.start_import(found, request.user, request.FILES.getlist("files"), options=reading)
    count = len(made.sources)
    text = f"{count:,} file{'s' * (count != 1)} received. The import goes on in the background; watch it here."
    return done(request, text, reverse("dataset", args=[pk]), stay=True)


@require_safe
def split(request: HttpRequest, pk: int) -> HttpResponse:
    values = SHARES | {key: clean(value) for key, value in request.GET.items()}
    return render(request, "parts/split.html", _split(_find(request, pk), values))


@form_of("dataset")
def freeze(request: HttpRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    shares = _shares(SHARES | {key: clean(value) for key, value in request.POST.items()})
    version, is_new = versions.freeze_or_find(found, request.user, **shares)
    text = f"{version} is frozen: the same items and split whenever it is used."
    if not is_new:
        text = f"Nothing changed: it is {version} already."
    return done(request, text, reverse("dataset", args=[pk]), stay=True)


@form_of("dataset")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Another name or description."""
    name, description = (clean(request.POST.get(field, "")) for field in ("name", "description"))
    changed = creation.change_dataset(_find(request, pk), request.user, name=name, description=description[:5000])
    return done(request, f"'{changed.name}' is changed.", reverse("dataset", args=[pk]), stay=True)


@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    if request.method == "POST":
        freed = creation.delete_dataset(found, request.user)
        return done(request, f"'{found.name}' is deleted; {wording.size(freed)} are free again.", reverse("datasets"))
    context = {
        "action": reverse("dataset-delete", args=[pk]), "back": reverse("dataset", args=[pk]), "keep": "Keep it",
        "button": "Delete the dataset", "icon_name": "trash", **_question(found),
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", context)


def _question(found: Dataset) -> dict[str, Any]:
    """What the dialog of deleting says; without a button when something needs the dataset."""
    if uses := overview.uses(found):
        jobs = ", ".join(f"'{job['name']}' (job {job['pk']})" for job in _used(found)[:NAMED_JOBS])
        lines = [f"It was used by {uses}" + (f", the latest: {jobs}." if jobs else ".")]
        lines.append("It is kept, so that it stays known what those learned from.")
        return {"title": f"'{found.name}' can't be deleted", "lines": lines, "button": "", "keep": "Close"}
    lost = f"{wording.number(found.item_count)} items ({wording.size(found.byte_count)}) and its versions"
    return {"title": f"Delete '{found.name}'?", "lines": [f"{lost} are deleted for good."]}


@require_safe
def refusals(request: HttpRequest, pk: int, import_id: int) -> HttpResponseBase:
    """What an import set aside, and why."""
    found = _find(request, pk)
    source = get_visible(Import.objects.filter(dataset=found), request.user, "dataset__owner", pk=import_id)
    rows = Refusal.objects.filter(source=source)
    if request.GET.get("export") == "csv":
        cells = rows.values_list("name", "code", "reason").iterator(2000)
        return csv_response(request, f"import-{source.pk}-set-aside", ["name", "code", "reason"], cells)
    context = {"dataset": found, "source": source, "page": page_of(request, rows, 100)}
    return show(request, "datasets/refusals.html", "datasets/_refusals.html", context)


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=pk)


def _used(found: Dataset) -> list[dict[str, Any]]:
    """The latest jobs that trained on a version of it."""
    names = ("jobs__pk", "jobs__name", "jobs__status", "number")
    rows = found.versions.filter(jobs__isnull=False).order_by("-jobs__pk").values_list(*names)[:20]
    return [{"pk": pk, "name": name, "status": status, "number": number} for pk, name, status, number in rows]


def _split(found: Dataset, values: Mapping[str, str]) -> dict[str, Any]:
    if not found.item_count:
        return {"counts": None}
    try:
        return {"dataset": found} | overview.split(found, **_shares(values))
    except ProblemError as problem:
        return {"counts": None, "split_problem": problem}


def _shares(values: Mapping[str, str]) -> dict[str, Any]:
    """Shares and seed from a form; the verb checks their range. InvalidInputError for what is no number."""
    shares: dict[str, Any] = {}
    for name in ("validation_fraction", "test_fraction"):
        try:
            shares[name] = float(values[name].strip().replace(",", ".") or SHARES[name])
        except ValueError:
            shares[name] = math.nan
    seed = number_in(values["seed"] or SHARES["seed"])
    if seed is None or not math.isfinite(shares["validation_fraction"] + shares["test_fraction"]):
        raise InvalidInputError("A share or the seed is no number.", "Write for example 0.1, 0 and 0.")
    rule = {"split_by": values["split_by"][:20] or CONTENT, "split_key": values["split_key"].strip() or KEY}
    return shares | {"seed": seed, **rule}

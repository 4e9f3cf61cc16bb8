"""Pages about sheets: templates with a live preview, renderings, single rows, and where pairs come from."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible, visible
from common.errors import NotFoundError, ProblemError
from common.pages import clean, csv_response, done, form_of, number_in, page_of, search_text, show
from datasets import overview
from datasets.models import Dataset, Item, Modality, Rendering, Template
from datasets.rendering import live as sheet_live
from datasets.rendering import renderings, sheets, templating
from datasets.rendering import templates as sheet_templates
from datasets.rendering.templates import PARTS, Program

PREVIEW_ROWS = 5
CHOICES = [("first", "the first rows"), ("random", "random rows"), ("rows", "rows by number")]
EXAMPLE = {
    "prompt": "",
    "completion": "",
    "system": "",
    "name": "",
    "chat": "",
    "sample": "first",
    "rows": "",
    "seed": "0",
}


@require_safe
def sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """The sheet's columns, the templates and how they fit, and what was rendered."""
    dataset = _find(request, pk)
    context = _sheet_context(dataset) | {"renderings": list(sheet_live.renderings(dataset))}
    names = context["sheet"].names if context["sheet"] else None
    context["templates"] = [_fitting(template, names) for template in _templates(request, dataset)[:200]]
    return render(request, "datasets/sheets/sheet.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int, template_id: int | None = None) -> HttpResponse:
    """A new template, or one that is changed, with a preview on real rows."""
    dataset = _find(request, pk)
    template = None if template_id is None else _template(request, template_id)
    values = EXAMPLE | (_kept(template) if template else {}) | _typed(request)
    context = _sheet_context(dataset) | {"template": template, "values": values, "choices": CHOICES}
    if request.method != "POST":
        return render(request, "datasets/sheets/edit.html", context)
    parts = {part: values[part] for part in PARTS} | {"chat": bool(request.POST.get("chat"))}
    context["values"] = values | {"chat": request.POST.get("chat", "")}
    try:
        if context["sheet"]:
            Program.read(parts, context["sheet"].names)
        if template:
            saved = sheet_templates.change(template, name=values["name"], **parts)
        else:
            saved = sheet_templates.create(request.user, name=values["name"], **parts)
    except ProblemError as problem:
        told = {"problem": problem, "errors": problem.fields}
        return render(request, "datasets/sheets/edit.html", context | told, status=problem.status)
    messages.success(request, f"The template '{saved.name}' is saved. Render it to make a training sheet.")
    return redirect("dataset-sheet", pk=dataset.pk)


@form_of("dataset-sheet")
def preview(request: HttpRequest, pk: int) -> HttpResponse:
    """What the typed template makes of some rows."""
    dataset = _find(request, pk)
    values = EXAMPLE | _typed(request)
    context: dict[str, Any] = {"dataset": dataset}
    try:
        context["tried"] = sheet_templates.preview(
            dataset, {part: values[part] for part in PARTS} | {"chat": bool(request.POST.get("chat"))},
            sample="random" if values["sample"] == "random" else "first", count=PREVIEW_ROWS,
            numbers=_numbers(values["rows"]) if values["sample"] == "rows" else [], seed=number_in(values["seed"]) or 0,
        )  # fmt: skip
    except ProblemError as problem:
        context["problem"] = problem
    return render(request, "datasets/sheets/_preview.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def delete_template(request: HttpRequest, pk: int, template_id: int) -> HttpResponse:
    dataset, template = _find(request, pk), _template(request, template_id)
    back = reverse("dataset-sheet", args=[pk])
    if request.method == "POST":
        sheet_templates.delete(template)
        return done(request, f"The template '{template.name}' is deleted.", back)
    context = {
        "title": f"Delete the template '{template.name}'?", "keep": "Keep it", "button": "Delete the template",
        "lines": ["Templates that made training sheets are kept; this one goes for good if it made none."],
        "action": reverse("sheet-template-delete", args=[dataset.pk, template.pk]), "back": back, "icon_name": "trash",
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def render_sheet(request: HttpRequest, pk: int, template_id: int) -> HttpResponse:
    """Name and label of the training sheet, then the rendering begins."""
    dataset, template = _find(request, pk), _template(request, template_id)
    values = {"name": "", "label_column": ""} | _typed(request)
    context = _sheet_context(dataset) | {"template": template, "values": values}
    if request.method == "POST":
        try:
            made = renderings.start(
                dataset, request.user, template, name=values["name"], label_column=values["label_column"]
            )
        except ProblemError as problem:
            told = {"problem": problem, "errors": problem.fields}
            return render(request, "datasets/sheets/render.html", context | told, status=problem.status)
        messages.success(request, f"'{made.target.name}' is being made of {made.total:,} rows. Watch it here.")
        return redirect("rendering", pk=dataset.pk, rendering_id=made.pk)
    if context["sheet"]:
        try:
            context["tried"] = sheet_templates.preview(dataset, _kept(template), count=2)
        except ProblemError as problem:
            context["problem"] = problem
    return render(request, "datasets/sheets/render.html", context)


@require_safe
def rendering(request: HttpRequest, pk: int, rendering_id: int) -> HttpResponseBase:
    """How a rendering goes or went, and the rows that made no pair."""
    found = get_visible(
        Rendering.objects.filter(sheet=pk).select_related("template", "target", "sheet__owner"), request.user,
        "sheet__owner", pk=rendering_id,
    )  # fmt: skip
    if request.GET.get("export") == "csv":
        cells = ((row + 1, reason) for row, reason in found.errors.values_list("row", "reason").iterator(2000))
        return csv_response(request, f"rendering-{found.pk}-errors", ["row", "reason"], cells)
    context = {"dataset": found.sheet, "rendering": found, "page": page_of(request, found.errors.order_by("row"), 100)}
    context["same"] = renderings.duplicates(found)
    return show(request, "datasets/sheets/rendering.html", "datasets/sheets/_errors.html", context)


@require_safe
def row(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """One row of the sheet; people count from 1."""
    dataset = _find(request, pk)
    opened = sheets.open_sheet(dataset)
    found = opened.pick([number - 1])[0]
    table = next(table for table in opened.tables if table.item == found.item)
    cells = [(column, found.values.get(column.name)) for column in opened.columns]
    before = number - 1 if number > 1 else None
    after = number + 1 if number < opened.rows else None
    context = {"dataset": dataset, "number": number, "row": found, "table": table, "cells": cells, "total": opened.rows}
    return render(request, "datasets/sheets/row.html", context | {"before": before, "after": after})


@require_safe
def pairs(request: HttpRequest, pk: int) -> HttpResponse:
    """The pairs of a training sheet, each with the row and the template that it was made from."""
    dataset = _find(request, pk)
    search = search_text(request)
    found = dataset.items.filter(origin__has_key="rendering").order_by("id")
    if search:
        found = found.filter(content__icontains=search)
    page = page_of(request, found)
    context = {"dataset": dataset, "page": page, "search": search, "pairs": _with_origin(page.object_list)}
    return show(request, "datasets/sheets/pairs.html", "datasets/sheets/_pairs.html", context)


def _with_origin(items: Any) -> list[dict[str, Any]]:
    """Items with the links that lead back; three queries, however many there are."""
    items = list(items)
    wanted = {item.origin["rendering"] for item in items}
    known = {one.pk: one for one in Rendering.objects.filter(pk__in=wanted).select_related("sheet", "template")}
    shown = []
    for item in items:
        made = known.get(item.origin["rendering"])
        shown.append({"item": item, "parts": _parts(item), "rendering": made, "number": _number(item, made)})
    return shown


def _parts(item: Item) -> list[tuple[str, str]]:
    """What is said in a pair or chat: (who, what)."""
    content = item.content or {}
    if "messages" in content:
        return [(message["role"].capitalize(), message["content"]) for message in content["messages"]]
    return [(part.capitalize(), content[part]) for part in PARTS if content.get(part)]


def _number(item: Item, made: Rendering | None) -> int | None:
    """The number of the row in its sheet, from 1; None when the sheet is gone."""
    first = 0
    for key, _, count, _ in made.rendered_by.get("tables", []) if made else []:
        if key == item.origin["item"]:
            return first + item.origin["row"] + 1
        first += count
    return None


def _sheet_context(dataset: Dataset) -> dict[str, Any]:
    """The sheet and how its columns are written; without rows, what is missing."""
    if dataset.modality != Modality.TABLE:
        raise NotFoundError(f"'{dataset.name}' has no sheet.", "Only datasets of tables have rows to render.")
    try:
        opened = sheets.open_sheet(dataset)
    except ProblemError as problem:
        return {"dataset": dataset, "sheet": None, "missing": problem, "columns": []}
    columns = [(column, templating.written(column.name)) for column in opened.columns]
    return {"dataset": dataset, "sheet": opened, "columns": columns}


def _fitting(template: Template, names: list[str] | None) -> dict[str, Any]:
    """A template with what keeps it from being used on this sheet."""
    try:
        program = Program.read(_kept(template), names)
    except ProblemError as problem:
        return {"template": template, "problem": problem}
    return {"template": template, "columns": sorted(program.columns)}


def _kept(template: Template) -> dict[str, Any]:
    parts = {part: getattr(template, part) for part in PARTS}
    return parts | {"name": template.name, "chat": "on" if template.chat else ""}


def _typed(request: HttpRequest) -> dict[str, str]:
    return {key: clean(value) for key, value in request.POST.items()}


def _numbers(text: str) -> list[int]:
    """'1, 5 20' as numbers from 0; what is no number is passed over."""
    found = [number_in(word) for word in text.replace(",", " ").split()[: sheets.MAX_CHOSEN]]
    return [number - 1 for number in found if number]


def _templates(request: HttpRequest, dataset: Dataset) -> QuerySet[Template]:
    return visible(Template.objects.filter(owner__in=[dataset.owner, request.user]), request.user).order_by("name")


def _template(request: HttpRequest, template_id: int) -> Template:
    return get_visible(Template.objects.all(), request.user, pk=template_id)


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=pk)

"""The page on which a dataset's items are given to subjects."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.access import get_visible
from common.errors import ProblemError
from common.pages import clean, done
from datasets import creation, overview
from datasets.models import Dataset, Subject
from datasets.subjects import subjects


@require_http_methods(["GET", "HEAD", "POST"])
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    """By GET: the values of a way, and whom they name. By POST: the dataset's subject, or each item's by its value."""
    dataset = get_visible(overview.listed(), request.user, pk=pk)
    if request.method == "POST" and "whole" in request.POST:
        return _whole(request, dataset)
    way = clean((request.POST or request.GET).get("way", ""))
    if request.method == "POST":
        made = subjects.assign(dataset, request.user, way, kind=clean(request.POST.get("kind", "")))
        new = f", {made.made:,} of them new" if made.made else ""
        text = f"{made.items:,} items were given to {made.subjects:,} subjects{new}. It can be undone among the edits."
        return done(request, text, reverse("dataset-subjects", args=[pk]))
    ways = subjects.ways(dataset)
    context: dict[str, Any] = {"dataset": dataset, "ways": ways, "way": way or "label"}
    context["subjects"] = Subject.objects.filter(owner=dataset.owner).order_by("name")[:500]
    context["own"] = dataset.items.filter(subject__isnull=False).count()
    try:
        context["values"] = subjects.values(dataset, context["way"])
    except ProblemError as problem:
        context["problem"] = problem
    return render(request, "datasets/subjects.html", context)


def _whole(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """The subject of the dataset as a whole."""
    key = request.POST.get("subject", "")
    chosen = get_visible(Subject.objects.all(), request.user, pk=key) if key else None
    creation.change_dataset(dataset, request.user, subject=chosen, clear_subject=chosen is None)
    text = f"'{dataset.name}' is about {chosen.name if chosen else 'nobody'} now."
    return done(request, text, reverse("dataset-subjects", args=[dataset.pk]))

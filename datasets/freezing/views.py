"""Pages about frozen versions: their list, one version, what it left out, and what changed since another."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import wording
from common.access import get_visible
from common.downloads import download
from common.errors import ProblemError
from common.pages import clean, csv_response, done, number_in, page_of, show
from datasets import overview
from datasets.freezing import differences, removal
from datasets.freezing.api import LeftOut, compared_with, version_of
from datasets.freezing.splits import CONTENT, RULE_WORDS
from datasets.gating import gates
from datasets.items import exporting
from datasets.models import Dataset, DatasetVersion

NAMED = 100
USERS = 20


@require_safe
def versions(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _dataset(request, pk)
    page = page_of(request, dataset.versions.order_by("-number"), 50)
    return show(
        request, "datasets/versions.html", "datasets/_versions.html",
        {"dataset": dataset, "versions": page, "page": page},
    )  # fmt: skip


@require_safe
def version(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    found = version_of(_dataset(request, pk), number)
    if request.GET.get("export") == "zip":
        return download(request, exporting.of_version(found), exporting.TYPE, f"dataset-{pk}-v{number}.zip")
    kept = found.split_rule
    rule = kept.get("by", CONTENT)
    context = {
        "dataset": found.dataset, "version": found, "rule": RULE_WORDS.get(rule, rule), "kept": kept,
        "total": sum(found.counts.values()), "left_out": _reasons(found), "jobs": _jobs(found),
        "models": found.model_versions.select_related("model").order_by("-pk")[:USERS],
        "others": found.dataset.versions.exclude(pk=found.pk).order_by("-number")[:100],
        "used": removal.uses(found),
    }  # fmt: skip
    return render(request, "datasets/version.html", context)


@require_safe
def left_out(request: HttpRequest, pk: int, number: int) -> HttpResponseBase:
    """Which items a version left out, and why."""
    found = version_of(_dataset(request, pk), number)
    rows = LeftOut(found)
    if request.GET.get("export") == "csv":
        cells = ((row["id"], row["name"], gates.REASONS[row["reason"]]) for row in rows)
        return csv_response(request, f"{found.dataset_id}-v{found.number}-left-out", ["id", "name", "reason"], cells)
    context = {
        "dataset": found.dataset, "version": found, "words": gates.in_words(found.left_out),
        "page": page_of(request, rows, 100), "reasons": gates.REASONS,
    }  # fmt: skip
    return show(request, "datasets/left_out.html", "datasets/_left_out.html", context)


@require_safe
def difference(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    found = version_of(_dataset(request, pk), number)
    context: dict[str, Any] = {"dataset": found.dataset, "version": found}
    try:
        earlier = compared_with(found, number_in(clean(request.GET.get("since", ""))))
        context |= {"earlier": earlier, "summary": differences.summary(earlier, found, NAMED), "named": NAMED}
    except ProblemError as problem:
        return render(request, "datasets/difference.html", context | {"problem": problem}, status=problem.status)
    return render(request, "datasets/difference.html", context)


@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    found = version_of(_dataset(request, pk), number)
    if request.method == "POST":
        freed = removal.delete_version(found, request.user)
        text = f"'{found}' is deleted; {wording.size(freed)} are free again."
        return done(request, text, reverse("dataset-versions", args=[pk]))
    context: dict[str, Any] = {
        "action": reverse("dataset-version-delete", args=[pk, number]),
        "back": reverse("dataset-version", args=[pk, number]), "keep": "Keep it", "icon_name": "trash",
        "title": f"Delete '{found}'?", "button": "Delete the version",
        "lines": ["Nobody used it. The items stay in the dataset; the list of what it held is deleted for good."],
    }  # fmt: skip
    if used := removal.uses(found):
        words = " and ".join(f"{count:,} {kind}{'s' * (count != 1)}" for kind, count in used.items())
        context |= {"title": f"'{found}' can't be deleted", "button": "", "keep": "Close"}
        context["lines"] = [f"It was used by {words}. It is kept, so that it stays known what those learned from."]
    return show(request, "confirm.html", "parts/confirm.html", context)


def _dataset(request: HttpRequest, pk: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=pk)


def _reasons(found: DatasetVersion) -> list[tuple[str, int]]:
    return [(words, found.left_out[reason]) for reason, words in gates.REASONS.items() if reason in found.left_out]


def _jobs(found: DatasetVersion) -> list[dict[str, Any]]:
    return list(found.jobs.order_by("-pk").values("pk", "name", "status")[:USERS])

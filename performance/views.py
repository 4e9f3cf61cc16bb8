"""The page of how models do: the key figure of each model's versions over time."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.access import get_visible, visible
from common.pages import number_in, page_of, search_text, show
from performance.models import MetricRecord
from performance.trends import names, trend
from registry.models import Model
from registry.templatetags.registry_ui import KEY_METRICS

PER_PAGE = 12
POINTS = 200


@require_safe
def performance(request: HttpRequest) -> HttpResponse:
    key = number_in(request.GET.get("model"))
    search = search_text(request)
    found = visible(Model.objects.filter(metric_records__isnull=False), request.user).distinct().order_by("-id")
    if key:
        found = found.filter(pk=get_visible(Model.objects.all(), request.user, pk=key).pk)
    if search:
        found = found.filter(name__icontains=search)
    page = page_of(request, found, PER_PAGE)
    context = {"page": page, "entries": _entries(list(page)), "search": search, "filtered": bool(search or key)}
    return show(request, "performance/performance.html", "performance/_list.html", context)


@require_safe
def figure(request: HttpRequest, pk: int) -> HttpResponse:
    """One figure of one model over its versions, in full."""
    model = get_visible(Model.objects.all(), request.user, pk=pk)
    known = names(model)
    name = request.GET.get("name", "")
    name = name if name in known else _key(known)
    shown = trend(model, name, limit=POINTS) if name else None
    context = {
        "model": model, "names": known, "name": name, "trend": shown, "back": reverse("performance"),
        "values": [record.value for record in shown.records] if shown else [],
        "records": shown.records[::-1] if shown else [],
    }  # fmt: skip
    return show(request, "performance/figure.html", "performance/_figure.html", context)


def _entries(models: list[Model]) -> list[dict[str, Any]]:
    """Each model with its key figure over its versions; the same few queries for one model and for many."""
    records = MetricRecord.objects.filter(model__in=models).select_related("version").order_by("recorded_at", "id")
    by_model: dict[int, dict[str, list[MetricRecord]]] = {model.pk: {} for model in models}
    for record in records[:20_000]:
        by_model[record.model_id].setdefault(record.name, []).append(record)
    return [_entry(model, by_model[model.pk]) for model in models]


def _entry(model: Model, figures: dict[str, list[MetricRecord]]) -> dict[str, Any]:
    name = _key(sorted(figures))
    line = figures.get(name, [])[-POINTS:]
    latest = {name: values[-1] for name, values in sorted(figures.items())}
    return {
        "model": model,
        "name": name,
        "values": [record.value for record in line],
        "last": line[-1] if line else None,
        "before": line[-2] if len(line) > 1 else None,
        "latest": list(latest.items())[:6],
    }


def _key(known: list[str]) -> str:
    """The figure that tells most; '' when there is none."""
    return next((name for name in KEY_METRICS if name in known), known[0] if known else "")

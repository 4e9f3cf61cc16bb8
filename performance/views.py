"""The page of how models do: the key figure of each model's versions over time."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.pages import number_in, page_of, search_text, show
from performance.models import MetricRecord
from performance.trends import names, trend
from performance.use import names as of_use
from performance.use import reading
from registry import figures
from registry.access import Action, get_model, may, models_for
from registry.models import Model

PER_PAGE = 12
POINTS = 200
BESIDE = 5  # figures beside the key one
USED = 4  # figures of use beside those


@require_safe
def performance(request: HttpRequest) -> HttpResponse:
    key = number_in(request.GET.get("model"))
    search = search_text(request)
    with_figures = Model.objects.filter(Exists(MetricRecord.objects.filter(model=OuterRef("pk"))))
    found = models_for(request.user, with_figures).order_by("-id")
    if key:
        found = found.filter(pk=get_model(request.user, key).pk)
    if search:
        found = found.filter(name__icontains=search)
    page = page_of(request, found, PER_PAGE)
    context = {"page": page, "entries": _entries(list(page)), "search": search, "filtered": bool(search or key)}
    return show(request, "performance/performance.html", "performance/_list.html", context)


@require_safe
def figure(request: HttpRequest, pk: int) -> HttpResponse:
    """One figure of one model over its versions, in full."""
    model = get_model(request.user, pk)
    known = [known for known in names(model) if known not in of_use.ALL]
    name = request.GET.get("name", "")
    name = name if name in known else _key(known, model.recipe)
    shown = trend(model, name, limit=POINTS) if name else None
    mine = figures.ordered(figures.own(known), model.recipe)
    context = {
        "model": model, "names": mine, "name": name, "trend": shown, "back": reverse("performance"),
        "values": [record.value for record in shown.records] if shown else [],
        "records": shown.records[::-1] if shown else [], **_in_use(request, model),
    }  # fmt: skip
    return show(request, "performance/figure.html", "performance/_figure.html", context)


def _in_use(request: HttpRequest, model: Model) -> dict[str, Any]:
    """What logged predictions say of a model, over the period and of the group that the address asks for."""
    asked = {"days": number_in(request.GET.get("days")) or 0, "group": search_text(request, "group")}
    name = request.GET.get("name", "")  # as links by a figure's name alone have it, of alerts for one
    name = name if name in of_use.ALL else ""
    use = reading.shown(model, request.GET.get("figure") or name, **asked)
    return {
        "use": use, "periods": reading.PERIODS,
        "may_see": may(request.user, Action.SEE_PREDICTIONS, model),
    }  # fmt: skip


def _entries(models: list[Model]) -> list[dict[str, Any]]:
    """Each model with its key figure over its versions; the same few queries for one model and for many."""
    told = MetricRecord.objects.filter(~Q(source=MetricRecord.Source.LOGGED), model__in=models)
    records = told.select_related("version").order_by("recorded_at", "id")
    by_model: dict[int, dict[str, list[MetricRecord]]] = {model.pk: {} for model in models}
    for record in records[:20_000]:
        by_model[record.model_id].setdefault(record.name, []).append(record)
    used = reading.newest(models)
    return [_entry(model, by_model[model.pk], used[model.pk]) for model in models]


def _entry(model: Model, found: dict[str, list[MetricRecord]], used: dict[str, MetricRecord]) -> dict[str, Any]:
    name = _key(list(found), model.recipe)
    line = found.get(name, [])[-POINTS:]
    latest = {name: values[-1] for name, values in found.items()}
    # What the world reports of a model goes before what its training said.
    reported = sorted(name for name, record in latest.items() if record.source == MetricRecord.Source.REPORTED)
    mine = figures.own(latest)
    beside = dict.fromkeys([*reported, *figures.headlines(latest, model.recipe), *figures.ordered(mine, model.recipe)])
    newest = line[-1].version_id if line else None
    its = {name: record.value for name, record in latest.items() if record.version_id == newest}
    return {
        "model": model,
        "name": name,
        "values": [record.value for record in line],
        "last": line[-1] if line else None,
        "before": line[-2] if len(line) > 1 else None,
        "baseline": next((row.baseline for row in figures.shown(its).rows if row.name == name), None),
        "latest": [(other, latest[other]) for other in beside if other != name][:BESIDE],
        "used": [(name, used[name]) for name in of_use.ALL if name in used][:USED],
    }


def _key(known: list[str], recipe: str) -> str:
    """The figure of the model itself that tells most; a baseline's only where there is nothing else; '' for none."""
    return next(iter(figures.headlines(known, recipe, 1) or sorted(known)), "")

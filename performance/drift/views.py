"""Pages of drift: the models that are looked at, all checks, one check, and when a model is looked at by itself."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.errors import InvalidInputError, ProblemError
from common.numbers import typed as figure
from common.pages import chosen, csv_response, done, form_of, number_in, page_of, refused, search_text, show
from performance.drift import live, monitors, showing, streams, verbs
from performance.drift.access import checks_for, get_check, get_model_seen, models_seen
from performance.models import DriftCheck, DriftMonitor
from registry.access import Action, may
from registry.models import Model, Prediction

VERDICTS = {"moved": Q(moved=True), "quiet": Q(moved=False), "unknown": Q(status="completed", moved=None),
            "open": Q(status__in=["queued", "running"]), "failed": Q(status="failed")}  # fmt: skip
LATEST = 10
About = DriftCheck.Subject


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Models that have predictions, checks or a monitor, with their last verdict."""
    search = search_text(request)
    known = Q(drift_monitor__isnull=False) | Exists(Prediction.objects.filter(model=OuterRef("pk")))
    found = models_seen(request.user).annotate(
        last_check_id=_last(), **{f"last_{one}": _last(one) for one in About.values}
    )
    found = (
        found.filter(known | Q(last_check_id__isnull=False))
        .select_related("drift_monitor", "owner")
        .defer("owner__password")
    )
    if search:
        found = found.filter(name__icontains=search)
    page = page_of(request, found.order_by(F("last_check_id").desc(nulls_last=True), "-id"))
    entries = _entries(request, list(page))
    context = {"page": page, "entries": entries, "search": search, "subjects": DriftCheck.Subject.choices}
    return show(request, "performance/drift/overview.html", "performance/drift/_overview.html", context)


@require_safe
def checks(request: HttpRequest) -> HttpResponseBase:
    """All checks, newest first."""
    found = checks_for(request.user)
    about = chosen(request, "about", DriftCheck.Subject.values)
    verdict = chosen(request, "verdict", VERDICTS)
    model = number_in(request.GET.get("model"))
    if model:
        found = found.filter(model=get_model_seen(request.user, model))
    if about:
        found = found.filter(about=about)
    if verdict:
        found = found.filter(VERDICTS[verdict])
    if request.GET.get("export") == "csv":
        return csv_response(request, "drift-checks", COLUMNS, found.values_list(*COLUMNS)[:10_000])
    context = {
        "page": page_of(request, found), "about": about, "verdict": verdict, "model": model,
        "subjects": DriftCheck.Subject.choices, "filtered": bool(about or verdict or model),
    }  # fmt: skip
    return show(request, "performance/drift/checks.html", "performance/drift/_checks.html", context)


COLUMNS = [
    "id", "model_id", "model__name", "version_id", "about", "status", "moved", "reference_count", "recent_count",
    "alpha", "message", "created_at", "finished_at",
]  # fmt: skip


@require_safe
def check(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_check(request.user, pk)
    context = {"check": found, "drawn": showing.drawn(found), "seen": "" if found.finished_at else live.seen(found)}
    return show(request, "performance/drift/check.html", "performance/drift/_check.html", context)


@form_of("drift-monitor")
def ask(request: HttpRequest, pk: int) -> HttpResponse:
    """Check now."""
    model = get_model_seen(request.user, pk)
    try:
        made = verbs.check(model, request.POST.get("about", "")[:20], request.user)
    except ProblemError as problem:
        return refused(request, problem, reverse("drift"))
    return done(request, f"{made.get_about_display()} of {model} are being checked. Watch it here.", _address(made))


@require_http_methods(["GET", "HEAD", "POST"])
def monitor(request: HttpRequest, pk: int) -> HttpResponse:
    """When the model is looked at by itself."""
    model = get_model_seen(request.user, pk)
    problem: InvalidInputError | None = None
    if request.method == "POST":
        try:
            changed = monitors.change(model, request.user, **_typed(request))
        except InvalidInputError as error:
            problem = error
        else:
            said = (
                f"{model} is looked at: {showing.in_words(changed)}." if changed.enabled else f"{model} is left alone."
            )
            return done(request, said, reverse("drift-monitor", args=[pk]))
    row = monitors.monitor_of(model)
    values = request.POST if problem else {name: getattr(row, name) for name in monitors.SETTINGS}
    context = {
        "model": model, "monitor": row, "values": values, "problem": problem,
        "errors": problem.fields if problem else {}, "about": request.POST.getlist("about") if problem else row.about,
        "may_change": may(request.user, Action.DEPLOY, model), "subjects": DriftCheck.Subject.choices,
        "references": DriftMonitor.Reference.choices, "words": showing.in_words(row),
        "checks": checks_for(request.user).filter(model=model)[:LATEST],
        "streams": streams.of_model(model)[:LATEST],
    }  # fmt: skip
    return render(request, "performance/drift/monitor.html", context, status=400 if problem else 200)


def _typed(request: HttpRequest) -> dict[str, Any]:
    """The settings of the form; an empty number is none."""
    given = request.POST
    numbers = {name: _number(given.get(name)) for name in ("every_hours", "every_predictions")}
    try:
        alpha = figure(given.get("alpha", ""))
    except ValueError:
        alpha = -1.0
    return numbers | {
        "alpha": alpha, "window": _number(given.get("window")) or 0, "about": given.getlist("about"),
        "reference": given.get("reference", ""), "enabled": "enabled" in given, "streams": "streams" in given,
    }  # fmt: skip


def _number(text: str | None) -> int | None:
    """The whole number that was typed; 0, which no setting takes, for anything else; None for nothing."""
    found = number_in(text)
    return (0 if (text or "").strip() else None) if found is None else min(found, 2**31 - 1)


def _last(about: str = "") -> Subquery:
    """The id of a model's last check, about one subject or any."""
    rows = DriftCheck.objects.filter(model=OuterRef("pk"), **({"about": about} if about else {}))
    return Subquery(rows.order_by("-id").values("pk")[:1])


def _entries(request: HttpRequest, models: list[Model]) -> list[tuple[Model, list[DriftCheck], str]]:
    """Each model with the last check of each subject, one that moved first, and when it is looked at by itself."""
    ids = {row.pk: [getattr(row, f"last_{about}") for about in About.values] for row in models}
    found = checks_for(request.user).in_bulk([pk for each in ids.values() for pk in each if pk])

    def of(row: Model) -> list[DriftCheck]:
        return sorted((found[pk] for pk in ids[row.pk] if pk in found), key=lambda one: (not one.moved, -one.pk))

    return [(row, of(row), _words(row)) for row in models]


def _words(model: Model) -> str:
    return showing.in_words(model.drift_monitor) if hasattr(model, "drift_monitor") else "not monitored"


def _address(made: DriftCheck) -> str:
    return reverse("drift-check", args=[made.pk])

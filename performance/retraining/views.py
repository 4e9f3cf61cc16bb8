"""Pages of training models again: policies, what they started, and what people decide."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import visible
from common.errors import ConflictError, NotFoundError, ProblemError
from common.pages import chosen, clean, csv_response, done, form_of, number_in, page_of, refused, search_text, show
from datasets.models import Dataset, Modality
from engine.catalogue import RECIPES
from jobs import schedule_forms
from jobs.models import JobTemplate
from jobs.rules import zones
from jobs.schedules import database_now
from performance import trends
from performance.drift.access import checks_for
from performance.models import DriftCheck, MetricRecord, Retraining, RetrainingPolicy
from performance.retraining import collecting, decisions, forms, overview, policies, triggers
from performance.retraining.decisions import WAITING
from performance.retraining.evidence import of_check
from performance.retraining.lines import champion_of
from performance.retraining.live import seen
from registry import access
from registry.access import Action, get_model
from registry.models import Model

PER_PAGE = 20
CHOICES = 300
COLUMNS = ("id", "model", "status", "started_by", "message", "job", "challenger", "verdict", "created_at", "ended_at")
LOOKS = {
    "awaiting_approval": ("yellow", "hourglass"), "queued": ("blue", "queue"), "training": ("blue", "refresh"),
    "evaluating": ("blue", "refresh"), "challenger": ("yellow", "hourglass"), "testing": ("blue", "activity"),
    "promoted": ("green", "check"), "kept": ("secondary", "flag"), "failed": ("red", "alert-triangle"),
    "refused": ("secondary", "x"), "expired": ("secondary", "clock"),
}  # fmt: skip
WORKING = ("queued", "training", "evaluating")


@require_safe
def retraining(request: HttpRequest) -> HttpResponseBase:
    """Policies by model, and what was started."""
    status = chosen(request, "status", Retraining.Status.values)
    search = search_text(request)
    key = number_in(request.GET.get("model"))
    rows, models = overview.retrainings_for(request.user), overview.policies_for(request.user)
    if key:
        only = get_model(request.user, key)
        rows, models = rows.filter(model=only), models.filter(pk=only.pk)
    if search:
        rows, models = rows.filter(model__name__icontains=search), models.filter(name__icontains=search)
    rows = rows.filter(status=status) if status else rows
    if request.GET.get("export") == "csv":
        return csv_response(request, "retrainings", COLUMNS, map(_line, rows[:10_000]))
    now = database_now()
    context = {
        "page": page_of(request, rows, PER_PAGE), "status": status, "search": search, "model": key,
        "statuses": Retraining.Status.choices, "looks": LOOKS, "working": WORKING,
        "policies": [overview.row_of(model, now) for model in models[:PER_PAGE]],
        "more": models[PER_PAGE : PER_PAGE + 1].exists() if not search else False,
        "filtered": bool(status or search or key),
    }  # fmt: skip
    return show(request, "performance/retraining/list.html", "performance/retraining/_list.html", context)


@require_safe
def one(request: HttpRequest, pk: int) -> HttpResponse:
    """One retraining: from what started it to what became of the version."""
    row = _find(request, pk)
    may_approve = access.may(request.user, Action.APPROVE, row.model) and row.asked_by_id != request.user.pk
    waits = row.status in WAITING
    context = {
        "row": row, "events": row.events.select_related("actor"), "look": LOOKS[row.status], "seen": seen(row),
        "works": row.status in WORKING, "compared": overview.figures(row.report), "waits": waits,
        "may_approve": waits and may_approve,
        "may_decline": waits and (may_approve or row.asked_by_id == request.user.pk),
    }  # fmt: skip
    return show(request, "performance/retraining/one.html", "performance/retraining/_one.html", context)


@form_of("retraining-one")
def decide(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve or decline what it waits for."""
    row = _find(request, pk)
    address = reverse("retraining-one", args=[pk])
    reason = clean(request.POST.get("reason", ""))
    before = row.status
    try:
        if request.POST.get("decision") == "approve":
            decisions.approve(row, request.user, reason)
        else:
            decisions.decline(row, request.user, reason)
    except ProblemError as problem:
        return refused(request, problem, address)
    if request.POST.get("decision") != "approve":
        return done(request, "It is declined; the reason stands in its story.", address)
    started = f"Approved. {row.message}"
    said = started if before == Retraining.Status.AWAITING_APPROVAL else row.message
    return done(request, said, address)


@require_http_methods(["GET", "HEAD", "POST"])
def now(request: HttpRequest, pk: int) -> HttpResponse:
    """Train a model again at once; asked by GET, says what that means."""
    model = get_model(request.user, pk)
    address = reverse("retraining-policy", args=[pk])
    check = _check_of(request, model)
    if request.method == "POST":
        try:
            policies.require(request.user, model)
            key = clean(request.POST.get("key", ""))[:64]
            given = {"reason": f"Drift, seen by check {check.pk}.", "evidence": of_check(check)} if check else {}
            row, _ = triggers.trigger(model, request.user, **{"reason": "By hand."} | given, idempotency_key=key)
        except ProblemError as problem:
            return refused(request, problem, address)
        return done(request, f"Retraining {row.pk} has begun. {row.message}", reverse("retraining-one", args=[row.pk]))
    asked: dict[str, Any] = {
        "title": f"Train {model} again?", "button": "Retrain now", "icon_name": "refresh", "keep": "Leave it",
        "action": reverse("retraining-now", args=[pk]), "back": address, "lines": overview.ahead(model).lines,
        "kept": [("key", uuid.uuid4().hex), *([("check", str(check.pk))] if check else [])],
    }  # fmt: skip
    if check:
        asked["lines"] = [f"The drift that check {check.pk} saw goes with it as its evidence.", *asked["lines"]]
        asked["back"] = reverse("drift-check", args=[check.pk])
    reason = overview.why_not_now(policies.of(model))
    if not policies.may_change(request.user, model):
        reason = f"You may not have {model} trained again: that is for its owner, and for release managers."
    if reason:
        asked |= {"title": f"{model} can't be trained again now", "button": "", "keep": "Close", "lines": [reason]}
    return show(request, "confirm.html", "parts/confirm.html", asked)


@require_http_methods(["GET", "HEAD", "POST"])
def collect(request: HttpRequest, pk: int) -> HttpResponse:
    """Put predictions whose truth is known into a dataset; asked by GET, into which one."""
    model = get_model(request.user, pk)
    access.require(request.user, Action.SEE_PREDICTIONS, model)
    champion = champion_of(model)
    key = number_in(request.POST.get("dataset"))
    problem: ProblemError | None = None
    if request.method == "POST":
        try:
            found = collecting.collect(request.user, model, key or 0)
            if found.rows:
                return done(request, _collected(model, found), reverse("dataset", args=[key]))
            problem = ConflictError(
                "Nothing is new for that dataset.",
                "A prediction becomes a row once its truth was told, where what is kept of its input fits the columns.",
            )
        except ProblemError as error:
            problem = error
    learned = champion.dataset_version.dataset_id if champion and champion.dataset_version else None
    tables = visible(Dataset.objects.filter(modality=Modality.TABLE), request.user).order_by("-id")
    context = {"model": model, "target": collecting.target_of(champion), "datasets": tables[:CHOICES],
               "chosen": key or learned, "problem": problem}  # fmt: skip
    return render(request, "performance/retraining/collect.html", context, status=problem.status if problem else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def policy(request: HttpRequest, pk: int) -> HttpResponse:
    """The policy of a model: where it stands, and its form."""
    model = get_model(request.user, pk)
    row = policies.of(model)
    values = forms.start(row, request.POST if request.method == "POST" else request.GET)
    if request.method != "POST" or "look" in request.POST:
        context = _form(request, row, values)
        return show(request, "performance/retraining/policy.html", "performance/retraining/_form.html", context)
    wanted = forms.wanted(values)
    if forms.keeps_rule(row, values):
        del wanted["rule"]
    try:
        saved = policies.change(model, request.user, **wanted)
    except ProblemError as problem:
        context = _form(request, row, values) | {"problem": problem, "errors": problem.fields}
        return render(request, "performance/retraining/policy.html", context, status=problem.status)
    return done(request, f"It is saved. {policies.in_words(saved)}", reverse("retraining-policy", args=[pk]))


@require_safe
def words(request: HttpRequest, pk: int) -> HttpResponse:
    """What the policy would do as it is typed."""
    row = policies.of(get_model(request.user, pk))
    text, problem = forms.preview(row, forms.start(row, request.GET))
    return render(request, "performance/retraining/_words.html", {"words": text, "words_problem": problem})


def _collected(model: Model, found: collecting.Collected) -> str:
    one = found.rows == 1
    said = f"{found.rows:,} prediction{'' if one else 's'} of {model} {'is on its' if one else 'are on their'} way in, "
    said += "as a row with its truth." if one else "as rows with their truth."
    return said + (" There are more: collect again once these are in." if found.more else "")


def _form(request: HttpRequest, row: RetrainingPolicy, values: dict[str, Any]) -> dict[str, Any]:
    model = row.model
    recipe = RECIPES.get(model.recipe)
    text, problem = forms.preview(row, values)
    tables = recipe is not None and recipe.modality == "table"
    return {
        "model": model, "policy": row, "values": values, "words": text, "words_problem": problem,
        "standing": overview.standing(row), "why_not": overview.why_not_now(row), "seen": overview.seen_in_words(row),
        "may_change": policies.may_change(request.user, model), "stored": row.pk is not None,
        "kinds": [("", "Not by the calendar"), *schedule_forms.KINDS], "units": schedule_forms.UNITS,
        "days": schedule_forms.day_choices(values), "zones": sorted(zones()), "metrics": trends.names(model)[:CHOICES],
        "sources": MetricRecord.Source.choices, "directions": RetrainingPolicy.Direction.choices, "tables": tables,
        "windows": RetrainingPolicy.Window.choices, "afters": RetrainingPolicy.After.choices,
        "datasets": Dataset.objects.filter(owner=model.owner, modality=recipe.modality if recipe else "")[:CHOICES],
        "templates": JobTemplate.objects.filter(owner=model.owner, required=[], request__recipe=model.recipe)[:CHOICES],
        "last": overview.retrainings_for(request.user).filter(model=model)[:5], "looks": LOOKS, "working": WORKING,
    }  # fmt: skip


def _check_of(request: HttpRequest, model: Model) -> DriftCheck | None:
    """The check for drift that somebody came from; None for none, and for what is not this model's."""
    key = number_in((request.POST if request.method == "POST" else request.GET).get("check"))
    return checks_for(request.user).filter(pk=key, model=model).first() if key else None


def _find(request: HttpRequest, pk: int) -> Retraining:
    row = overview.retrainings_for(request.user).filter(pk=pk).first()
    if row is None:
        raise NotFoundError(f"There is no retraining {pk} for you.", "Check the address.")
    return row


def _line(row: Retraining) -> tuple[Any, ...]:
    challenger = str(row.challenger) if row.challenger else ""
    ended = row.ended_at.isoformat() if row.ended_at else ""
    return (
        row.pk, row.model.name, row.status, row.kind, row.message, row.job_id, challenger,
        row.report.get("verdict", ""), row.created_at.isoformat(), ended,
    )  # fmt: skip

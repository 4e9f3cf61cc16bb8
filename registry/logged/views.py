"""Pages about logged predictions: the list, one of them with its outcome, and what is logged at all."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.errors import ConflictError, ProblemError
from common.pages import chosen, clean, done, form_of, number_in, refused, search_text, show
from engine.catalogue import RECIPES
from registry.access import Action, get_model, may, require
from registry.logged import browsing, exporting, outcomes, policies
from registry.logged.exporting import outcome_of
from registry.models import LogPolicy, Model, Prediction

PER_PAGE = 50
OUTCOMES = (("known", "With an outcome"), ("unknown", "Without an outcome"), ("wrong", "Wrong only"))
VERSIONS = 100


@require_safe
def predictions(request: HttpRequest, pk: int) -> HttpResponseBase:
    asked = _wanted(request, pk)
    if form := chosen(request, "export", exporting.FORMATS):
        return exporting.response(request, asked, form)
    cursors = {name: _uuid(request.GET.get(name)) for name in ("after", "before")}
    part = browsing.page(asked, **cursors, size=PER_PAGE)
    policy = policies.policy_of(asked.model.pk)
    context = {
        "model": asked.model, "part": part, "wanted": asked, "outcomes": OUTCOMES,
        "outcome": chosen(request, "outcome", dict(OUTCOMES)), "until": _day(request.GET.get("until")),
        "versions": asked.model.versions.order_by("-number").values_list("pk", "number")[:VERSIONS],
        "groups": lambda: browsing.groups_of(asked.model), "filtered": _filtered(asked),
        "policy": policy, "share": f"{100 * policy.share:.10g}", "keeps": LogPolicy.Keep.choices,
        "longest": policies.MAX_DAYS, "tables": _of_tables(asked.model),
    }  # fmt: skip
    return show(request, "registry/logged/predictions.html", "registry/logged/_list.html", context)


@require_safe
def prediction(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One prediction; HTMX gets the inside of the row that opens in place."""
    found = browsing.get_prediction(request.user, pk)
    kept = {"input": _pretty(found.input), "output": _pretty(found.output)}
    context = {
        "prediction": found, "outcome": outcome_of(found), **kept, "kind": _kind(found),
        "features": [(name, value) for name, value in found.features.items() if name != "confidence"],
    }  # fmt: skip
    return show(request, "registry/logged/prediction.html", "registry/logged/_prediction.html", context)


@form_of("prediction")
def outcome(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The truth or feedback, typed by a person."""
    back = reverse("prediction", args=[pk])
    try:
        found = outcomes.find(request.user, pk)
        typed = {name: clean(request.POST.get(name, ""))[:2000].strip() for name in ("truth", "value")}
        truth, value = _truth(found, typed["truth"]), _number(typed["value"])
        told = outcomes.send(request.user, pk, truth=truth, value=value, replace="replace" in request.POST)
    except ProblemError as problem:
        if problem.status in (403, 404):
            raise
        if isinstance(problem, ConflictError):  # in the words of the page's own box
            problem.hint = "Tick 'Replace what was told before' to correct it; that is noted."
        return refused(request, problem, back)
    words = {
        "recorded": "Noted.",
        "replaced": "Replaced, and noted who did it.",
        "unchanged": "That stood there already.",
    }
    after = " Figures follow within a minute." if told.status != "unchanged" else ""
    return done(request, f"{words[told.status]}{after} {told.note}".rstrip(), back)


@form_of("predictions")
def logging(request: HttpRequest, pk: int) -> HttpResponse:
    """What is logged of the model from now on."""
    model = get_model(request.user, pk)
    require(request.user, Action.SEE_PREDICTIONS, model)
    back = reverse("predictions", args=[pk])
    share = _number(request.POST.get("share", ""))
    given = {
        "keep": request.POST.get("keep", ""), "days": number_in(request.POST.get("days")) or 0,
        "share": share / 100 if isinstance(share, float) else -1.0,
    }  # fmt: skip
    try:
        policies.change_policy(model, request.user, **given)
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, "What is logged is changed; it holds within seconds.", back)


def in_use(request: HttpRequest, model: Model) -> dict[str, Any]:
    """What a model's page says of its predictions: {} for who may not see them."""
    if not may(request.user, Action.SEE_PREDICTIONS, model):
        return {}
    newest = Prediction.objects.filter(model=model).order_by("-id").values_list("at", flat=True).first()
    return {"logged": {"newest": newest, "policy": policies.policy_of(model.pk)}}


def _wanted(request: HttpRequest, pk: int) -> browsing.Wanted:
    """The filters of the address; what is nonsense is left out."""
    said = chosen(request, "outcome", dict(OUTCOMES))
    since, until = _day(request.GET.get("since")), _day(request.GET.get("until"))
    if since and until and since > until:
        since, until = until, since
    return browsing.wanted(
        request.user, pk, version=number_in(request.GET.get("version")), group=search_text(request, "group")[:100],
        since=since, until=until + timedelta(days=1) if until else None, wrong=said == "wrong",
        has_outcome={"known": True, "unknown": False}.get(said),
    )  # fmt: skip


def _of_tables(model: Model) -> bool:
    """Whether what it is asked about are rows, which can be learned from."""
    recipe = RECIPES.get(model.recipe)
    return recipe is not None and recipe.modality == "table"


def _filtered(asked: browsing.Wanted) -> bool:
    given = (asked.version, asked.group, asked.since, asked.until, asked.wrong)
    return any(given) or asked.has_outcome is not None


def _kind(row: Prediction) -> str:
    """What can be sent of a prediction: class, anomaly, forecast, number, or nothing but feedback."""
    if isinstance((row.output or {}).get("forecast"), list):
        return "forecast"
    if row.error or not row.label:
        return "number" if row.score is not None and not row.error else ""
    return "anomaly" if row.label in ("anomaly", "normal") else "class"


def _truth(row: Prediction, text: str) -> Any:
    """What was typed, as the kind of truth that this prediction has; None for nothing."""
    if not text:
        return None
    if isinstance((row.output or {}).get("forecast"), list):
        return [_number(part) if part.strip() else None for part in text.split(";")]
    number = _number(text)
    return number if not row.label and isinstance(number, float) else text


def _number(text: str) -> Any:
    """The number that was typed, None for nothing; what is none stays as it is, and is refused in words."""
    text = text.strip()
    with suppress(ValueError):
        if math.isfinite(value := float(text.replace(",", "."))):
            return value
    return text or None


def _uuid(text: str | None) -> UUID | None:
    with suppress(ValueError):
        return UUID((text or "")[:36])
    return None


def _day(text: str | None) -> datetime | None:
    """Midnight in UTC of a day that was typed; None for what is none."""
    with suppress(ValueError):
        day = date.fromisoformat((text or "")[:10])
        return datetime(day.year, day.month, day.day, tzinfo=UTC) if 1970 < day.year < 9999 else None
    return None


def _pretty(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)

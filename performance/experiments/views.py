"""Pages of experiments: the list, a form, and how one of them stands."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.errors import InvalidInputError, ProblemError
from common.pages import (
    chosen,
    clean,
    csv_response,
    done,
    form_of,
    number_in,
    page_of,
    refused,
    search_text,
    show,
)
from performance.experiments import forms, live, overview, verbs, words
from performance.models import Experiment
from registry import routing
from registry.access import Action, get_model, may, models_for
from registry.models import Model

MODELS = 200  # that the form offers, the newest first
COLUMNS = ("id", "name", "model", "kind", "metric", "status", "verdict", "words", "started_at", "ended_at")
QUESTIONS = {
    "stop": (
        "Stop '{}'?",
        ["From now on the champion answers all again. What was counted stays, and there is no verdict."],
        "Stop it", "stop", "Let it run",
    ),
    "promote": (
        "Promote the winner of '{}'?",
        ["It becomes the champion of its model, as its policy allows: where that wants approval, others are asked."],
        "Promote it", "flag", "Not now",
    ),
}  # fmt: skip


@require_safe
def experiments(request: HttpRequest) -> HttpResponseBase:
    search, status = search_text(request), chosen(request, "status", Experiment.Status.values)
    model = number_in(request.GET.get("model"))
    found = overview.visible(request.user)
    if model:
        found = found.filter(model=get_model(request.user, model))
    if search:
        found = found.filter(model__name__icontains=search) | found.filter(name__icontains=search)
    if status:
        found = found.filter(status=status)
    if request.GET.get("export") == "csv":
        rows = found.values_list(*[{"model": "model__name"}.get(name, name) for name in COLUMNS])[:10_000]
        return csv_response(request, "experiments", COLUMNS, rows)
    context = {
        "page": page_of(request, found), "search": search, "status": status, "statuses": Experiment.Status.choices,
        "filtered": bool(search or status or model), "model": model,
    }  # fmt: skip
    return show(request, "performance/experiments/list.html", "performance/experiments/_list.html", context)


@require_safe
def experiment(request: HttpRequest, pk: int) -> HttpResponse:
    row = overview.find(request.user, pk)
    looks = overview.looks_of(row)
    last = looks[-1] if looks else None
    standings = overview.standings(row, last)
    context = {
        "experiment": row, "standings": standings, "looks": looks[::-1][:5], "last": last,
        "charts": overview.charts(row, looks, [standing.arm for standing in standings]),
        "trusted": overview.trusted(last), "seen": live.seen(row), "running": row.status == Experiment.Status.RUNNING,
        "overtaken": row.status == Experiment.Status.RUNNING and routing.overtaken(routing.open_arms(row.model)),
        "margin": words.difference(row, row.margin).removeprefix("+") + " or more" if row.margin else "any difference",
        "may_deploy": may(request.user, Action.DEPLOY, row.model),
        "may_promote": bool(row.winner_id) and may(request.user, Action.PROMOTE, row.model),
    }  # fmt: skip
    return show(request, "performance/experiments/experiment.html", "performance/experiments/_experiment.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form asks for itself again when the model, the kind or the figure changes."""
    typed = request.POST if request.method == "POST" else request.GET
    model = _model(request, typed.get("model"))
    begins = request.method == "POST" and "look" not in request.POST
    context = forms.context(_models(request), model, typed) | {"may_start": _may_start(request, model)}
    if not begins:
        return show(request, "performance/experiments/new.html", "performance/experiments/_new.html", context)
    try:
        if model is None:
            raise InvalidInputError("Choose a model.", "Its versions are compared.", fields={"model": ["Choose one."]})
        made = verbs.start(model, request.user, idempotency_key=_key(request), **forms.read(model, request.POST))
    except ProblemError as problem:
        context |= {"problem": problem, "errors": problem.fields}
        return render(request, "performance/experiments/new.html", context, status=problem.status)
    return done(request, f"'{made}' has begun. Its figures come in here.", reverse("experiment", args=[made.pk]))


@form_of("experiment")
def look(request: HttpRequest, pk: int) -> HttpResponse:
    """Have it looked at now."""
    row, back = overview.find(request.user, pk), reverse("experiment", args=[pk])
    try:
        verbs.ask_for_look(row, request.user)
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, "It is being looked at; the page tells what is found.", back, stay=True)


@require_http_methods(["GET", "HEAD", "POST"])
def action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Stop it, or promote the winner; asked by GET, says what that means."""
    row, back = overview.find(request.user, pk), reverse("experiment", args=[pk])
    if verb not in QUESTIONS:
        raise Http404
    if request.method == "POST":
        try:
            said = _act(request, row, verb)
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(request, said, back)
    title, lines, button, icon, keep = QUESTIONS[verb]
    asked: dict[str, Any] = {
        "title": title.format(row), "lines": lines, "button": button, "icon_name": icon, "keep": keep, "back": back,
        "action": reverse("experiment-action", args=[pk, verb]), "section": "/performance",
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", asked)


def _act(request: HttpRequest, row: Experiment, verb: str) -> str:
    if verb == "stop":
        verbs.stop(row, request.user)
        return f"'{row}' is stopped; the champion answers all."
    made = verbs.promote(row, request.user)
    if type(made).__name__ == "PromotionRequest":
        return f"The promotion of {row.winner.version} waits for approval."
    return f"{row.winner.version} is the champion now."


def _models(request: HttpRequest) -> list[Model]:
    return list(models_for(request.user).filter(versions__isnull=False).distinct().order_by("-id")[:MODELS])


def _model(request: HttpRequest, key: str | None) -> Model | None:
    number = number_in(key)
    return get_model(request.user, number) if number else None


def _may_start(request: HttpRequest, model: Model | None) -> bool:
    return model is None or may(request.user, Action.DEPLOY, model)


def _key(request: HttpRequest) -> str:
    """The form's own key: pressed twice it begins one experiment."""
    return clean(request.POST.get("key", ""))[:64]

"""Pages about what is in use: the section of a model's page, deploying, and texts that arrive as they are written."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from common.errors import InvalidInputError, ProblemError
from common.pages import clean, done, form_of, refused, show
from registry import examples, trying
from registry.access import Action, get_model, get_version, may
from registry.answers import answers
from registry.logged.writing import Asked
from registry.models import Model
from registry.models.aliases import Name
from registry.prediction import Prediction, can_be_tried, recipe_of
from registry.routing import Choice
from registry.serving import verbs
from registry.serving.finding import version_to_ask
from registry.serving.states import in_use
from registry.serving.streaming import Event, Telling, response
from registry.versions import usable

SHOWN = 30  # versions that can be chosen


def context(request: HttpRequest, model: Model) -> dict[str, Any]:
    """What the section of a model's page needs."""
    allowed = may(request.user, Action.DEPLOY, model)
    return {
        "model": model,
        "deployments": in_use(verbs.deployments_for(request.user).filter(model=model)),
        "may_deploy": allowed,
        "choices": _choices(model) if allowed else [],
        **_tried(model, request.user),
    }


def _tried(model: Model, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """The version that the page lets people try, with examples: the one in use, else the newest."""
    ready = usable().select_related("model", "dataset_version__dataset").filter(model=model)
    first = ready.filter(aliases__name=Name.CHAMPION).first() or ready.order_by("-number").first()
    if first is None or not can_be_tried(first):
        return {}
    form, offered = trying.form_of(recipe_of(first)), examples.examples(first, user)
    return {"version": first, "form": form, "examples": offered, "can_be_tried": True, "named": True}


def _choices(model: Model) -> list[tuple[str, str]]:
    can = [one for one in usable().filter(model=model).order_by("-number")[:SHOWN] if can_be_tried(one)]
    names = [(name.value, f"Whichever is {name.value}") for name in Name]
    return [*names, *((str(one.pk), f"v{one.number}") for one in can)] if can else []


@require_safe
def section(request: HttpRequest, pk: int) -> HttpResponse:
    """The section alone; asked for as a page, the page it belongs to."""
    model = get_model(request.user, pk)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("model", pk=pk)
    return render(request, "registry/_in_use.html", context(request, model))


@form_of("model")
def deploy(request: HttpRequest, pk: int) -> HttpResponse:
    model = get_model(request.user, pk)
    back = reverse("model", args=[pk])
    what = clean(request.POST.get("what", ""))
    try:
        given: dict[str, Any] = {"replicas": _replicas(request.POST.get("replicas", "1"))}
        if what.isdecimal():
            given["version"] = get_version(request.user, what)
        else:
            given["alias"] = what
        made = verbs.deploy(model, request.user, **given)
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, f"{made} is deployed. It is being loaded.", back, stay=True)


@require_http_methods(["GET", "HEAD", "POST"])
def undeploy(request: HttpRequest, pk: int) -> HttpResponse:
    found = verbs.get_deployment(request.user, pk)
    back = reverse("model", args=[found.model_id])
    if request.method == "POST":
        try:
            verbs.undeploy(found, request.user)
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(request, f"{found} is not deployed any more.", back)
    asked = {
        "title": f"Undeploy {found}?", "button": "Undeploy", "icon_name": "x", "keep": "Keep it",
        "action": reverse("undeploy", args=[pk]), "back": back,
        "lines": ["It is unloaded once nobody has asked for it for a while. The next request loads it again, "
                  "which takes a moment."],
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", asked)


@require_POST
def try_stream(request: HttpRequest, pk: int) -> HttpResponseBase:
    """What a version writes, as it writes it; for the script of the page, which has a form without it too."""
    found = version_to_ask(request.user, pk)
    typed = {key: clean(value) for key, value in request.POST.items()}
    try:
        form = trying.form_of(recipe_of(found))
        inputs = trying.inputs_of(form, typed, [])
        asked = Asked(request.user, inputs, trying.parameters_of(form, typed))
        telling = Telling(Choice(found), asked, logged=False)
    except ProblemError as problem:  # drawn where the answer would be: the script has no place for a whole page
        return _drawn(request, {"problem": problem}, status=problem.status)

    def draw(event: Event) -> Event:
        name, data = event
        if name != "done":
            return event
        made = Prediction(data["outputs"], found, data["latency_ms"])
        shown = {"made": made, "answers": answers(made.outputs), "typed": typed}
        return name, {"html": render_to_string("registry/_prediction.html", shown)}

    return response(telling, draw)


def _drawn(request: HttpRequest, shown: dict[str, Any], status: int) -> HttpResponse:
    html = render_to_string("registry/_prediction.html", shown, request)
    return HttpResponse(html, status=status)


def _replicas(text: str) -> int:
    if not text.strip().isdecimal() or len(text) > 4:
        raise InvalidInputError("The number of replicas can't be read.", "Write a whole number from 1 to 16.")
    return int(text)

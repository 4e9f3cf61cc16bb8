"""The page of endpoints: what there is, a form for one, and a button that tries it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.access import get_visible, visible
from common.errors import ProblemError
from common.pages import clean, done, form_of, refused, show
from jobs.endpoints import verbs
from jobs.models import Endpoint

TEXTS = ("name", "url", "model")
NUMBERS: dict[str, type] = {"timeout_seconds": float, "retries": int, "requests_per_minute": int}


@require_http_methods(["GET", "HEAD", "POST"])
def endpoints(request: HttpRequest) -> HttpResponse:
    """The list, and a form for a new one."""
    return _form(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
def endpoint(request: HttpRequest, pk: int) -> HttpResponse:
    """The same with the form of one that is there."""
    return _form(request, _find(request, pk))


@form_of("endpoint")
def try_out(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask it for one word."""
    row, back = _find(request, pk), reverse("endpoints")
    try:
        tried = verbs.try_out(row, request.user)
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, f"{row.name} answered after {tried.seconds:.1f} s: “{tried.text}”", back, stay=True)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked by GET, says what it means."""
    row, back = _find(request, pk), reverse("endpoints")
    if request.method == "POST":
        verbs.remove(row)
        return done(request, f"The endpoint '{row.name}' is deleted, and its key with it.", back)
    line = "Its key is deleted too. Jobs that name it can't start until there is one of this name again."
    asked = {"title": f"Delete '{row.name}'?", "lines": [line], "button": "Delete", "icon_name": "trash"}
    asked |= {"action": reverse("endpoint-delete", args=[pk]), "back": back, "keep": "Keep it"}
    return show(request, "confirm.html", "parts/confirm.html", asked)


def _form(request: HttpRequest, row: Endpoint | None) -> HttpResponse:
    context: dict[str, Any] = {"values": _present(row), "endpoint": row, "section": "/jobs"}
    status = 200
    if request.method == "POST":
        context["values"] = typed = {name: clean(value).strip() for name, value in request.POST.items()}
        try:
            return _saved(request, row, typed)
        except ProblemError as problem:
            context |= {"problem": problem, "errors": problem.fields, "first_wrong": next(iter(problem.fields), "name")}
            status = problem.status
    context["endpoints"] = visible(Endpoint.objects.select_related("owner"), request.user).order_by("name", "id")
    return render(request, "jobs/endpoints.html", context, status=status)


def _saved(request: HttpRequest, row: Endpoint | None, typed: dict[str, str]) -> HttpResponse:
    values: dict[str, Any] = {name: typed.get(name, "") for name in TEXTS}
    values |= {name: _number(typed[name], kind) for name, kind in NUMBERS.items() if typed.get(name)}
    if typed.get("key") or typed.get("forget"):
        values["key"] = "" if typed.get("forget") else typed["key"]
    made = verbs.make(request.user, **values) if row is None else verbs.change(row, **values)
    return done(request, f"The endpoint '{made.name}' is saved.", reverse("endpoints"))


def _number(text: str, kind: type) -> float:
    """What was typed; a text that is no number becomes one that every check refuses."""
    try:
        return kind(text)
    except ValueError:
        return -1


def _present(row: Endpoint | None) -> dict[str, Any]:
    if row is None:
        return {"timeout_seconds": 60, "retries": 3, "requests_per_minute": 0}
    return {name: getattr(row, name) for name in (*TEXTS, *NUMBERS)} | {"timeout_seconds": f"{row.timeout_seconds:g}"}


def _find(request: HttpRequest, pk: int) -> Endpoint:
    return get_visible(Endpoint.objects.all(), request.user, pk=pk)

"""The pages of channels: where one is told, and what was sent there."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.errors import ProblemError
from common.pages import clean, done, form_of, page_of, refused, show
from performance.models import Channel
from performance.notices import channels, delivering
from performance.notices.access import channels_for, get_channel, get_delivery

SENT_ON_A_PAGE = 20


@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: HttpRequest) -> HttpResponse:
    """The list, and a form for a new one; the answer that makes a webhook shows its secret, once."""
    context: dict[str, Any] = {"values": {"kind": "webhook"}}
    status = 200
    if request.method == "POST":
        context["values"] = typed = _typed(request)
        try:
            given = {name: typed.get(name, "") for name in ("name", "kind", "address", "secret")}
            made, secret = channels.make(request.user, **given)  # type: ignore[arg-type]
        except ProblemError as problem:
            context |= _wrong(problem)
            status = problem.status
        else:
            if not secret or typed.get("secret"):
                return done(request, f"The channel '{made.name}' is there. Try it.", reverse("channel", args=[made.pk]))
            # Shown in the answer itself: a redirect would have to keep it somewhere.
            context |= {"made": made, "secret": secret, "values": {"kind": "webhook"}}
    rows = channels_for(request.user).select_related("owner").prefetch_related("rules")
    return render(request, "performance/notifications.html", context | {"channels": rows}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def channel(request: HttpRequest, pk: int) -> HttpResponse:
    """One channel: a form, and what was sent."""
    row = get_channel(request.user, pk)
    context: dict[str, Any] = {"channel": row, "values": _present(row)}
    status = 200
    if request.method == "POST":
        context["values"] = typed = _typed(request)
        try:
            return _saved(request, row, typed)
        except ProblemError as problem:
            context |= _wrong(problem)
            status = problem.status
    context["page"] = page_of(request, row.deliveries.prefetch_related("attempts"), SENT_ON_A_PAGE)
    context["why_not"] = channels.why_not(row)
    if status == 200:
        return show(request, "performance/channel.html", "performance/_deliveries.html", context)
    return render(request, "performance/channel.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def channel_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked by GET, says what it means."""
    row, back = get_channel(request.user, pk), reverse("notifications")
    if request.method == "POST":
        channels.remove(row, request.user)  # type: ignore[arg-type]
        return done(request, f"The channel '{row.name}' is deleted.", back)
    line = "Rules that name it tell it nothing more, and what was sent to it is forgotten."
    asked = {"title": f"Delete '{row.name}'?", "lines": [line], "button": "Delete", "icon_name": "trash"}
    asked |= {"action": reverse("channel-delete", args=[pk]), "back": back, "keep": "Keep it"}
    return show(request, "confirm.html", "parts/confirm.html", asked)


@form_of("channel")
def channel_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a notice that says it is a trial."""
    row, back = get_channel(request.user, pk), reverse("channel", args=[pk])
    try:
        delivering.try_out(row, request.user)  # type: ignore[arg-type]
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, "A trial is on its way. Open this page again in a moment to see how it went.", back)


@require_http_methods(["GET", "HEAD", "POST"])
def redeliver(request: HttpRequest, delivery: uuid.UUID) -> HttpResponse:
    row = get_delivery(request.user, delivery)
    back = reverse("channel", args=[row.channel_id])
    if request.method != "POST":
        return redirect(back)
    try:
        delivering.redeliver(row, request.user)  # type: ignore[arg-type]
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, "It is sent again, under the same id.", back)


def _saved(request: HttpRequest, row: Channel, typed: dict[str, str]) -> HttpResponse:
    values: dict[str, Any] = {"name": typed.get("name", ""), "enabled": bool(typed.get("enabled"))}
    if row.kind == Channel.Kind.WEBHOOK or row.owner.is_staff:
        values["address"] = typed.get("address", "")
    if typed.get("secret"):
        values["secret"] = typed["secret"]
    changed = channels.change(row, request.user, **values)  # type: ignore[arg-type]
    said = "is saved" if changed.enabled else "is turned off"
    return done(request, f"The channel '{changed.name}' {said}.", reverse("channel", args=[changed.pk]))


def _typed(request: HttpRequest) -> dict[str, str]:
    return {name: clean(value).strip() for name, value in request.POST.items()}


def _wrong(problem: ProblemError) -> dict[str, Any]:
    return {"problem": problem, "errors": problem.fields, "first_wrong": next(iter(problem.fields), "name")}


def _present(row: Channel) -> dict[str, Any]:
    return {"name": row.name, "kind": row.kind, "address": row.address, "enabled": row.enabled}

"""The pages of alerts: what is open, what was, and what somebody does about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from common.errors import ProblemError
from common.pages import (
    chosen,
    clean,
    csv_response,
    done,
    form_of,
    page_of,
    refused,
    search_text,
    show,
    wants_fragment,
)
from performance.alerts import dealing, looking
from performance.alerts.access import alerts_for, get_alert, may_deal, shown
from performance.models import Alert, AlertRule, Severity

EXPORTED = 10_000
MOST_OPEN = 100
SNOOZES = {"1": "1 hour", "4": "4 hours", "24": "1 day", "168": "1 week"}
Kind = AlertRule.Kind


@require_safe
def alerts(request: HttpRequest) -> HttpResponseBase:
    """What is open, the worst first, and the history."""
    found, context = _filtered(request)
    if request.GET.get("export") == "csv":
        return _csv(request, found)
    context |= {"page": page_of(request, shown(found).order_by("-pk")), "snoozes": SNOOZES.items()}
    return show(request, "performance/alerts.html", "performance/_alerts.html", context | _open(request))


def _open(request: HttpRequest) -> dict[str, Any]:
    # A part of the page that is asked for anew holds the list alone.
    return {} if wants_fragment(request) else looking.box(request.user, MOST_OPEN)


def _filtered(request: HttpRequest) -> tuple[QuerySet[Alert], dict[str, Any]]:
    status = chosen(request, "status", ["open", *Alert.Status.values])
    asked = {"severity": chosen(request, "severity", Severity.values), "kind": chosen(request, "kind", Kind.values)}
    search = search_text(request)
    found = alerts_for(request.user).filter(**{name: value for name, value in asked.items() if value})
    if status:
        found = found.filter(status__in=Alert.OPEN if status == "open" else [status])
    if search:
        found = found.filter(title__icontains=search)
    return found, {
        **asked, "status": status, "search": search, "filtered": bool(status or search or any(asked.values())),
        "statuses": Alert.Status.choices, "severities": Severity.choices, "kinds": Kind.choices,
    }  # fmt: skip


def _csv(request: HttpRequest, found: QuerySet[Alert]) -> HttpResponseBase:
    header = ["id", "title", "severity", "status", "rule", "value", "threshold", "words", "opened_at", "resolved_at"]

    def rows() -> Iterator[list[Any]]:
        for alert in found.order_by("-pk")[:EXPORTED]:
            yield [
                alert.pk, alert.title, alert.severity, alert.status, alert.rule_name, alert.value, alert.threshold,
                alert.words, alert.opened_at.isoformat(), alert.resolved_at.isoformat() if alert.resolved_at else "",
            ]  # fmt: skip

    return csv_response(request, "alerts", header, rows())


@require_safe
def alert(request: HttpRequest, pk: int) -> HttpResponse:
    """One alert with what it rests on, and what happened to it."""
    row = get_alert(request.user, pk)
    context = {
        "alert": row, "events": list(row.events.all()), "may_deal": may_deal(request.user, row),
        "snoozes": SNOOZES.items(), "open": row.status in Alert.OPEN, "rule": row.rule,
        "sees_rule": row.rule is not None and (request.user.is_staff or row.owner_id == request.user.pk),  # type: ignore[union-attr]
        "now": timezone.now(),
    }  # fmt: skip
    return render(request, "performance/alert.html", context)


@form_of("alert")
def acknowledge(request: HttpRequest, pk: int) -> HttpResponseBase:
    def act(row: Alert) -> str:
        dealing.acknowledge(row, request.user, _note(request))  # type: ignore[arg-type]
        return "You are at it: nobody is reminded of it any more."

    return _acted(request, pk, act)


@form_of("alert")
def resolve(request: HttpRequest, pk: int) -> HttpResponseBase:
    def act(row: Alert) -> str:
        dealing.resolve(row, request.user, _note(request))  # type: ignore[arg-type]
        return "It is over. It opens again when something new is found."

    return _acted(request, pk, act)


@form_of("alert")
def snooze(request: HttpRequest, pk: int) -> HttpResponseBase:
    def act(row: Alert) -> str:
        hours = request.POST.get("hours", "")
        until = timezone.now() + timedelta(hours=int(hours) if hours in SNOOZES else 0)
        dealing.snooze(row, request.user, until, _note(request))  # type: ignore[arg-type]
        return f"It is put off for {SNOOZES[hours]}."

    return _acted(request, pk, act)


def _acted(request: HttpRequest, pk: int, act: Callable[[Alert], str]) -> HttpResponseBase:
    """Do it, say so, and go back to where it was asked for."""
    row = get_alert(request.user, pk)
    back = reverse("alerts") if request.POST.get("from") == "list" else reverse("alert", args=[pk])
    try:
        said = act(row)
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, said, back)


def _note(request: HttpRequest) -> str:
    return clean(request.POST.get("note", ""))

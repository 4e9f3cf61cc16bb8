"""The pages of rules: what there is, a form for one, what it does in words and how that stands now."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import numbers
from common.errors import ConflictError, ForbiddenError, NotFoundError, ProblemError
from common.pages import clean, done, number_in, page_of, refused, show
from performance.alerts import rules
from performance.alerts.access import get_rule, rules_for
from performance.alerts.kinds import ABOUT
from performance.alerts.signals.reading import look
from performance.models import AlertRule, Channel, MetricRecord, Severity
from performance.use import names
from registry.access import models_for

Kind = AlertRule.Kind
FIGURES = ("threshold", "clear_threshold")
COUNTS = ("in_a_row", "minutes", "minimum_count", "cool_down_minutes")
TEXTS = ("name", "metric", "source", "group", "comparison", "severity")
SHOWN = 20  # targets on the page of a rule
CHOICES = 200  # models to choose from


@require_safe
def alert_rules(request: HttpRequest) -> HttpResponse:
    rows = rules_for(request.user).order_by("-owner", "name", "id")
    context = {"page": page_of(request, rows)}
    return show(request, "performance/alert_rules.html", "performance/_alert_rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def alert_rule_new(request: HttpRequest) -> HttpResponse:
    """First what is watched, then the rest."""
    kind = request.POST.get("kind") or request.GET.get("kind", "")
    if kind not in kinds_for(request):
        offered = [(kind, Kind(kind).label, ABOUT[Kind(kind)].help) for kind in kinds_for(request)]
        return render(request, "performance/alert_rule_kind.html", {"kinds": offered})
    about = ABOUT[Kind(kind)]
    start = AlertRule(kind=kind, threshold=about.threshold, clear_threshold=about.clear_threshold)
    start.model_id = number_in(request.GET.get("model"))
    return _form(request, start)


@require_http_methods(["GET", "HEAD", "POST"])
def alert_rule(request: HttpRequest, pk: int) -> HttpResponse:
    return _form(request, get_rule(request.user, pk))


@require_http_methods(["GET", "HEAD", "POST"])
def alert_rule_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asked by GET, says what it means."""
    rule = get_rule(request.user, pk)
    back, to = reverse("alert-rule", args=[pk]), reverse("alert-rules")
    if request.method == "POST":
        try:
            rules.remove(rule, request.user)  # type: ignore[arg-type]
        except ConflictError as problem:
            return refused(request, problem, back)
        return done(request, f"The rule '{rule.name}' is deleted.", to)
    lines = ["Its alerts are over, and stay in the history. It watches nothing more."]
    if rule.default:
        lines = ["The hub's own rules can't be deleted. Turn it off instead: then it says nothing."]
    asked = {"title": f"Delete '{rule.name}'?", "lines": lines, "button": "" if rule.default else "Delete"}
    asked |= {"action": reverse("alert-rule-delete", args=[pk]), "back": back, "keep": "Keep it", "icon_name": "trash"}
    return show(request, "confirm.html", "parts/confirm.html", asked)


def kinds_for(request: HttpRequest) -> list[str]:
    """What this person may watch."""
    staff = request.user.is_staff  # type: ignore[union-attr]
    return [kind for kind in Kind.values if staff or kind not in AlertRule.OF_MACHINES]


def _form(request: HttpRequest, rule: AlertRule) -> HttpResponse:
    context: dict[str, Any] = {"rule": rule, "values": _present(rule), "new": rule.pk is None}
    status = 200
    if request.method == "POST":
        context["values"] = typed = _typed(request)
        try:
            return _saved(request, rule, typed)
        except (ForbiddenError, NotFoundError):
            raise
        except ProblemError as problem:
            context |= {"problem": problem, "errors": problem.fields, "first_wrong": next(iter(problem.fields), "name")}
            status = problem.status
            if rule.pk is not None:
                context["rule"] = get_rule(request.user, rule.pk)
    return render(request, "performance/alert_rule.html", context | _around(request, rule), status=status)


def _around(request: HttpRequest, rule: AlertRule) -> dict[str, Any]:
    """What the form chooses from, and how the rule stands."""
    kind = Kind(rule.kind)
    # Those of use are known by name, and too many to be looked through.
    told = MetricRecord.objects.filter(~Q(source=MetricRecord.Source.LOGGED), model__in=models_for(request.user))
    known = told.order_by("name").values_list("name", flat=True).distinct()
    of_hub = rule.pk is not None and rule.owner_id is None
    whose = {"owner__is_staff": True} if of_hub else {"owner": rule.owner_id or request.user.pk}
    return {
        "about": ABOUT[kind], "fields": ABOUT[kind].fields, "kind_label": kind.label,
        "models": models_for(request.user).order_by("name")[:CHOICES] if "model" in ABOUT[kind].fields else [],
        "figures": sorted({*known[:CHOICES], *names.ALL}) if kind == Kind.METRIC else [],
        "sources": MetricRecord.Source.choices, "severities": Severity.choices,
        "comparisons": AlertRule.Comparison.choices, "channels": Channel.objects.filter(**whose).order_by("name"),
        "signals": look(rule)[:SHOWN] if rule.pk and rule.enabled else [],
    }  # fmt: skip


def _typed(request: HttpRequest) -> dict[str, Any]:
    typed: dict[str, Any] = {name: clean(value).strip() for name, value in request.POST.items()}
    typed["channels"] = [pk for pk in map(number_in, request.POST.getlist("channels")) if pk is not None]
    return typed


def _saved(request: HttpRequest, rule: AlertRule, typed: dict[str, Any]) -> HttpResponse:
    values: dict[str, Any] = {name: typed[name] for name in TEXTS if name in typed}
    values |= {name: _number(typed[name], float) for name in FIGURES if name in typed}
    values |= {name: _number(typed[name], int) for name in COUNTS if typed.get(name)}
    values["channels"] = typed["channels"]
    if "model" in typed:
        values["model"] = number_in(typed["model"])
    by: Any = request.user
    if rule.pk is None:
        owner = None if typed.get("of_hub") else by
        made = rules.make(owner, by, kind=rule.kind, **values)
        return done(request, f"'{made.name}' watches from now on.", reverse("alert-rule", args=[made.pk]))
    changed = rules.change(rule, by, enabled=bool(typed.get("enabled")), **values)
    said = "is saved" if changed.enabled else "is turned off"
    return done(request, f"'{changed.name}' {said}.", reverse("alert-rule", args=[changed.pk]))


def _number(text: str, kind: type) -> float | None:
    """What was typed; None for nothing, and what every check refuses for a text that is no number."""
    try:
        return numbers.typed(text, kind) if text else None
    except ValueError:
        return float("nan") if kind is float else -1


def _present(rule: AlertRule) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(rule, name) for name in (*TEXTS, *COUNTS)}
    values |= {name: "" if getattr(rule, name) is None else f"{getattr(rule, name):g}" for name in FIGURES}
    values["model"] = str(rule.model_id or "")
    values["enabled"] = rule.enabled
    values["channels"] = [channel.pk for channel in rule.channels.all()] if rule.pk else []
    return values

"""Pages about names of versions, policies, and promotions that people decide."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common import numbers
from common.errors import NotFoundError, ProblemError
from common.pages import chosen, clean, csv_response, done, form_of, number_in, page_of, refused, search_text, show
from registry.access import get_model, get_version
from registry.models import AliasChange, PromotionPolicy, PromotionRequest
from registry.models.aliases import Name
from registry.promotion import aliases, approvers, policy, shown, verbs

VERBS = {"approve": verbs.approve, "reject": verbs.reject, "withdraw": verbs.withdraw}
DECIDED = {
    "granted": "{version} is the champion now.", "refused": "The promotion of {version} is refused.",
    "withdrawn": "The promotion of {version} is withdrawn.",
    "open": "Your approval is noted. It waits for somebody else's too.",
}  # fmt: skip
HEADER = ["at", "name", "kind", "before", "after", "by", "reason"]


@require_safe
def in_use(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of a model's page that says who is in use."""
    model = get_model(request.user, pk)
    return render(request, "registry/_names.html", {"model": model, **shown.of_model(request.user, model)})


@require_safe
def choose(request: HttpRequest, pk: int) -> HttpResponse:
    """To the page of promoting the version that was chosen."""
    model = get_model(request.user, pk)
    version = get_version(request.user, number_in(request.GET.get("version")) or 0)
    aliases.refuse_other(model, version)
    return redirect("version-promote", pk=version.pk)


@require_http_methods(["GET", "HEAD", "POST"])
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    """Each check with its figures; then the decision, or what stands against it."""
    version = get_version(request.user, pk)
    typed = {name: clean(request.POST.get(name, "")) for name in ("reason", "override")}
    problem: ProblemError | None = None
    if request.method == "POST":
        try:
            made = verbs.promote(version, request.user, reason=typed["reason"], override=bool(typed["override"]))
            return done(request, _promoted(made), reverse("model", args=[version.model_id]))
        except ProblemError as error:
            problem = error
    context = shown.of_promotion(request.user, version) | {"typed": typed, "problem": problem}
    return render(request, "registry/promotion/promote.html", context, status=problem.status if problem else 200)


@form_of("version")
def challenge(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a version the challenger."""
    version = get_version(request.user, pk)
    back = reverse("model", args=[version.model_id])
    try:
        verbs.challenge(version, request.user, clean(request.POST.get("reason", "")))
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, f"{version} is the challenger now.", back)


@require_http_methods(["GET", "HEAD", "POST"])
def roll_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Back to the champion before; asked by GET, says who that is."""
    model = get_model(request.user, pk)
    back = reverse("model", args=[pk])
    if request.method == "POST":
        try:
            made = verbs.roll_back(model, request.user, leaving=number_in(request.POST.get("leaving")))
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(request, f"{made.after} is the champion again.", back)
    present, before = aliases.champion(model), aliases.before(model)
    asked: dict[str, Any] = {
        "title": f"Roll {model} back to v{before.number}?" if before else f"{model} can't be rolled back",
        "button": "Roll back" if before else "", "icon_name": "arrow-left", "keep": "Leave it" if before else "Close",
        "action": reverse("model-rollback", args=[pk]), "back": back,
        "kept": [("leaving", present.pk)] if present else [],
        "lines": [
            f"{before} answers from the next request on" + (f", in place of {present}." if present else "."),
            f"{present} stays as it is." if present else "Nobody is the champion now.",
        ] if before else ["It has no earlier champion that can be used. Promote another version instead."],
    }  # fmt: skip
    return show(request, "confirm.html", "parts/confirm.html", asked)


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Take a name away; asked by GET, says what that means and takes the reason."""
    model = get_model(request.user, pk)
    alias = aliases.of([model]).get(pk, {}).get(aliases.known(name))
    back = reverse("model", args=[pk])
    if request.method == "POST":
        try:
            verbs.take_away(model, name, request.user, clean(request.POST.get("reason", "")))
        except ProblemError as problem:
            return refused(request, problem, back)
        return done(request, f"{model} has no {name} now.", back)
    needs_reason = name == Name.CHAMPION and bool(policy.of(model).pk)
    context = {"model": model, "alias": alias, "name": name, "needs_reason": needs_reason}
    return render(request, "registry/promotion/remove.html", context)


@require_safe
def history(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Who was the champion when, by whose decision, on which evidence."""
    model = get_model(request.user, pk)
    name = chosen(request, "name", Name.values)
    found = (
        aliases.history(model).select_related("before", "after", "actor", "model", "request").defer("actor__password")
    )
    found = found.filter(alias=name) if name else found
    if request.GET.get("export") == "csv":
        return csv_response(request, f"names-of-model-{pk}", HEADER, (_line(change) for change in found[:10_000]))
    page = page_of(request, found)
    context = {"model": model, "page": page, "rows": [shown.told(change) for change in page], "name": name,
               "known": Name.choices}  # fmt: skip
    return show(request, "registry/promotion/history.html", "registry/promotion/_history.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: HttpRequest, pk: int) -> HttpResponse:
    """The policy of a model: read by all who see it, changed by those who may go against it."""
    model = get_model(request.user, pk)
    present = policy.of(model)
    context: dict[str, Any] = {"values": policy.values(present), "errors": {}}
    status = 200
    if request.method == "POST":
        typed: dict[str, Any] = {field: clean(request.POST.get(field, "")) for field in policy.FIELDS}
        try:
            policy.change(model, request.user, **_wanted(typed))
            return done(
                request, "The policy is saved. It holds from the next promotion on.", reverse("model", args=[pk])
            )
        except ProblemError as problem:
            context |= {
                "values": typed | {"role": number_in(typed["role"])},
                "problem": problem,
                "errors": problem.fields,
            }
            status = problem.status
    context |= {
        "model": model, "rules": present, "words": shown.words(present), "roles": policy.roles(),
        "metrics": policy.metrics(model), "tests": PromotionPolicy.Test.choices,
        "may_change": policy.may_change(request.user, model),
    }  # fmt: skip
    return render(request, "registry/promotion/policy.html", context, status=status)


@require_safe
def promotions(request: HttpRequest) -> HttpResponse:
    """Promotions that wait for the viewer, or all that they may see."""
    asked = chosen(request, "show", ["all", *PromotionRequest.Status.values])
    search = search_text(request)
    found = approvers.requests_for(request.user) if asked else approvers.waiting_for(request.user)
    if asked and asked != "all":
        found = found.filter(status=asked)
    if search:
        found = found.filter(model__name__icontains=search)
    context = {"page": page_of(request, found), "asked": asked, "search": search,
               "statuses": PromotionRequest.Status.choices}  # fmt: skip
    return show(request, "registry/promotion/promotions.html", "registry/promotion/_promotions.html", context)


@require_safe
def promotion(request: HttpRequest, pk: int) -> HttpResponse:
    """One promotion, with what decides it."""
    found = approvers.get_request(request.user, pk)
    asked_rules = policy.of(found.model)
    is_open = found.status == PromotionRequest.Status.OPEN
    context = shown.of_promotion(request.user, get_version(request.user, found.version_id)) | {
        "promotion": found,
        "needed": max(0, asked_rules.approvals - sum(not approvers.why_not(one) for one in found.approvals.all())),
        "waits_for": approvers.whom(asked_rules, found) if is_open else "",
        "may_decide": approvers.may_approve(request.user, found, asked_rules),
        "mine": found.asked_by_id == request.user.pk,
        "is_open": is_open,
    }
    return render(request, "registry/promotion/promotion.html", context)


@form_of("promotion")
def decide(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Approve, reject or withdraw."""
    found = approvers.get_request(request.user, pk)
    back = reverse("promotion", args=[pk])
    if action not in VERBS:
        raise NotFoundError("There is nothing at this address.", "Go back to the promotion.")
    try:
        made = VERBS[action](found, request.user, clean(request.POST.get("note", "")))
    except ProblemError as problem:
        return refused(request, problem, back)
    return done(request, DECIDED[made.status].format(version=made.version), back)


def _promoted(made: AliasChange | PromotionRequest) -> str:
    if isinstance(made, AliasChange):
        return f"{made.after} is the champion now, from the next request on."
    return f"{made.version} passes its checks and waits for approval."


def _line(change: AliasChange) -> list[Any]:
    who = change.actor.get_username() if change.actor else ""
    before, after = (version.number if version else "" for version in (change.before, change.after))
    return [change.at.isoformat(), change.alias, change.kind, before, after, who, change.reason]


def _wanted(typed: dict[str, str]) -> dict[str, Any]:
    """What was typed, as the verb takes it; a text that is no number becomes one that every check refuses."""
    return {
        "metric": typed["metric"],
        "margin": _number(typed["margin"], float) if typed["margin"].strip() else None,
        "minimum_examples": _number(typed["minimum_examples"] or "0", int),
        "same_held_out": bool(typed["same_held_out"]),
        "needs_test": typed["needs_test"],
        "approvals": _number(typed["approvals"] or "0", int),
        "role": number_in(typed["role"]) if typed["role"].strip() else None,
    }


def _number(text: str, kind: type) -> float:
    try:
        return numbers.typed(text, kind)
    except (ValueError, OverflowError):
        return -1

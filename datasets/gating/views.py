"""The page 'Gates' of a dataset: what its items must pass, what that lets through, who reviews, what rules said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.access import get_visible
from common.errors import InvalidInputError
from common.numbers import number_or_text
from common.pages import clean, done, form_of, number_in, wants_fragment
from datasets import overview
from datasets.gating import gates, governance
from datasets.gating.switches import MAX_APPROVALS, set_gates
from datasets.models import Dataset
from datasets.reviewing import agreement, reviews
from datasets.reviewing.api import person

DECISIONS = 20
KNOWN = {
    "licence": "Licence",
    "consent": "Consent",
    "source": "Source",
}
APPROVALS = {0: "No review", 1: "One person must approve", 2: "Two persons must approve"}
# Where the items of a reason are listed.
FILTERS = {
    "set_aside": "aside=yes",
    "rejected": "review=rejected",
    "not_approved": "review=none",
    "refused": "governance=refused",
    "unchecked": "governance=unchecked",
}


@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    if wants_fragment(request):
        return render(request, "datasets/_gates.html", _passed(dataset))
    metadata = dict(dataset.metadata)
    personal = {True: "yes", False: "no"}.get(metadata.pop("personal_data", None), "")
    known = [(name, title, _line(metadata.pop(name, ""))) for name, title in KNOWN.items()]
    context = {
        **_passed(dataset), "approval_choices": list(APPROVALS.items())[: MAX_APPROVALS + 1],
        "known": known, "personal": personal, "more": "\n".join(f"{key}: {_text(metadata[key])}" for key in metadata),
        "reviewers": dataset.reviewers.select_related("user"), "agreement": agreement.agreement(dataset),
        "pairs": agreement.pairs(dataset), "rules": [_rule(rule) for rule in governance.rules_of(dataset)],
        "decisions": dataset.decisions.select_related("item", "by").order_by("-id")[:DECISIONS],
    }  # fmt: skip
    return render(request, "datasets/gates.html", context)


@form_of("dataset-gates")
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Switch gates, and say what is known of all items."""
    typed = {name: clean(value) for name, value in request.POST.items()}
    approvals = number_in(typed.get("approvals"))
    dataset = _find(request, pk)
    metadata = _metadata(typed, dataset.metadata)
    dataset = set_gates(dataset, request.user, approvals=approvals, governed="governed" in typed, metadata=metadata)
    text = f"The gates of '{dataset.name}' are set."
    if dataset.governed and governance.waiting(dataset):
        text += " The rules are being applied to its items."
    return done(request, text, reverse("dataset-gates", args=[pk]))


@form_of("dataset-gates")
def assign(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a person review, or change their share."""
    dataset = _find(request, pk)
    who = person(clean(request.POST.get("username", ""))[:150])
    row = reviews.assign(dataset, request.user, who, number_in(request.POST.get("share")) or 0)
    text = f"{who.get_username()} reviews {row.share} % of '{dataset.name}' and finds it under Reviews."
    return done(request, f"{text} {reviews.shortage(dataset)}".strip(), reverse("dataset-gates", args=[pk]))


@form_of("dataset-gates")
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    reviews.dismiss(_find(request, pk), number_in(request.POST.get("user")) or 0)
    return done(request, "The person reviews it no longer; what they said stays.", reverse("dataset-gates", args=[pk]))


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=pk)


def _passed(dataset: Dataset) -> dict[str, Any]:
    """How many items pass, and how many each reason keeps out."""
    counts = gates.left_out(dataset)
    total = dataset.item_count
    rows = [
        {"words": words, "count": counts[reason], "filter": FILTERS[reason]}
        for reason, words in gates.REASONS.items() if counts[reason]
    ]  # fmt: skip
    busy = governance.waiting(dataset) if dataset.governed else 0
    return {
        "dataset": dataset, "total": total, "passed": total - sum(counts.values()), "rows": rows, "busy": busy,
        "states": reviews.states(dataset) if dataset.approvals else {}, "shortage": reviews.shortage(dataset),
    }  # fmt: skip


def _rule(rule: Any) -> dict[str, Any]:
    return {"rule": rule, "condition": json.dumps(rule.condition, ensure_ascii=False) if rule.condition else ""}


def _metadata(typed: Mapping[str, str], present: Mapping[str, Any]) -> dict[str, Any]:
    """What the form says of all items; what it shows of the `present` values, and nobody changed, stays as it is.

    InvalidInputError for a line that is no `name: value`.
    """
    found: dict[str, Any] = {}
    for name in KNOWN:
        said = typed.get(name, "").strip()
        if name in present and said == _line(present[name]):
            found[name] = present[name]
        elif said:
            found[name] = said
    if typed.get("personal_data") in {"yes", "no"}:
        found["personal_data"] = typed["personal_data"] == "yes"
    for line in filter(str.strip, typed.get("more", "").replace("\r\n", "\n").split("\n")):
        name, colon, value = line.partition(":")
        if not colon:
            hint = "Write one 'name: value' a line, such as 'site: Lyon'."
            raise InvalidInputError(f"'{line[:60]}' has no colon.", hint, fields={"metadata": [hint]})
        found[name.strip()] = _value(value.strip())
    return found


def _line(value: Any) -> str:
    """A value as a field of one line shows it."""
    return " ".join(str(value).split())


def _value(text: str) -> Any:
    """A number, true or false where the text is one, what stands in quotes, or else the text as it is."""
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text == "true" if text in {"true", "false"} else number_or_text(text)


def _text(value: Any) -> str:
    """A value as it is written so that `_value` reads the same: in quotes where a text would be read as another."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _value(value) == value and value == value.strip() and not {"\n", "\r"} & set(value)
    return value if plain else json.dumps(value, ensure_ascii=False)

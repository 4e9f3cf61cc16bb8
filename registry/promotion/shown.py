"""What pages show of names and promotions: gathered here, drawn by templates."""

from __future__ import annotations

from typing import Any

from common.access import User
from registry import figures
from registry.access import Action, may
from registry.models import Alias, AliasChange, Model, ModelVersion, PromotionPolicy, PromotionRequest
from registry.models.aliases import Name
from registry.promotion import aliases, approvers, checks, policy
from registry.promotion.checks import TESTS

CHOICES = 100  # versions that are offered to be promoted
BESIDE = 6  # figures that stand beside the champion's


def of_model(user: User, model: Model) -> dict[str, Any]:
    """Who has which name, what waits for people, and what this person may do."""
    names = aliases.of([model]).get(model.pk, {})
    rules = policy.of(model)
    request = open_request(model)
    present = names.get(Name.CHAMPION)
    may_promote = may(user, Action.PROMOTE, model)
    return {
        "holders": [_named(name, names.get(name)) for name in Name],
        "names_of": by_version(names),
        "champion": present,
        "rules": rules,
        "rules_words": words(rules),
        "promotion": request,
        "waits_for": approvers.whom(rules, request) if request else "",
        "may_decide": bool(request) and approvers.may_approve(user, request, rules),
        "may_promote": may_promote,
        "go_back_to": aliases.before(model) if may_promote else None,
        "candidates": candidates(model, present) if may_promote else [],
    }


def of_version(version: ModelVersion) -> dict[str, Any]:
    """A version's names, and whether it fulfils the policy."""
    names = aliases.of([version.model_id]).get(version.model_id, {})
    mine = [alias for alias in names.values() if alias.version_id == version.pk]
    rules = policy.of(version.model)
    can = not aliases.why_not(version) and Name.CHAMPION not in {alias.name for alias in mine}
    return {"its_names": mine, "rules": rules, "verdict": checks.check(version, rules) if can and rules.pk else None,
            "can_be_promoted": can}  # fmt: skip


def of_promotion(user: User, version: ModelVersion) -> dict[str, Any]:
    """All that somebody needs to decide whether a version becomes the champion."""
    model = version.model
    rules = policy.of(model)
    present = aliases.of([model]).get(model.pk, {}).get(Name.CHAMPION)
    request = open_request(model)
    return {
        "version": version,
        "model": model,
        "rules": rules,
        "verdict": checks.check(version, rules),
        "champion": present,
        "is_champion": bool(present and present.version_id == version.pk),
        "compared": _compared(version, present.version if present else None),
        "promotion": request,
        "waits_for": approvers.whom(rules, request if request and request.version_id == version.pk else None),
        "why_not": aliases.why_not(version),
        "may_promote": may(user, Action.PROMOTE, model),
        "may_override": may(user, Action.PROMOTE, model) and may(user, Action.OVERRIDE, model),
    }


def open_request(model: Model) -> PromotionRequest | None:
    """The request that waits for people; None when there is none."""
    rows = PromotionRequest.objects.filter(model=model, status=PromotionRequest.Status.OPEN)
    found = rows.select_related("version__model", "asked_by").first()
    if found:
        found.model = model
    return found


def by_version(names: dict[str, Alias]) -> dict[int, list[str]]:
    """Version's id → its names."""
    found: dict[int, list[str]] = {}
    for name in Name:
        if alias := names.get(name):
            found.setdefault(alias.version_id, []).append(name.value)
    return found


def candidates(model: Model, present: Alias | None) -> list[ModelVersion]:
    """The newest versions that can become the champion."""
    fit = ModelVersion.objects.filter(
        model=model, status=ModelVersion.Status.READY, archived_at=None, damaged_at=None
    ).only("pk", "number")
    if present:
        fit = fit.exclude(pk=present.version_id)
    return list(fit.order_by("-number")[:CHOICES])


def words(rules: PromotionPolicy) -> list[str]:
    """A policy as sentences; none for one that asks for nothing."""
    said = []
    if rules.margin is not None:
        name = rules.metric or figures.key_figure((), rules.model.recipe)
        worse = f"at most {checks.amount(name, rules.margin)} worse" if rules.margin else "no worse"
        data = ", on the same held-out data" if rules.same_held_out else ""
        said.append(f"{figures.title(name) or 'The key figure'} {worse} than the champion's{data}.")
    if rules.minimum_examples:
        said.append(f"At least {rules.minimum_examples:,} held-out examples.")
    if rules.needs_test in TESTS:
        said.append(f"{'An' if rules.needs_test == 'ab' else 'A'} {TESTS[rules.needs_test]} against the champion.")  # type: ignore[index]
    if rules.approvals:
        who = f"of the role {rules.role.name}" if rules.role else "who may approve"
        people = "one person" if rules.approvals == 1 else f"{rules.approvals} people"
        said.append(f"Approval by {people} {who}.")
    return said


def told(change: AliasChange) -> dict[str, Any]:
    """A change of a name with its evidence taken apart for reading."""
    known = dict(change.evidence)
    found = {name: known.pop(name, None) for name in ("checks", "policy", "approvals", "request")}
    return {"change": change, **found, "more": known}


def _named(name: Name, alias: Alias | None) -> dict[str, Any]:
    return {"name": name.value, "label": name.label, "alias": alias}


def _compared(version: ModelVersion, champion: ModelVersion | None) -> list[tuple[str, Any, Any]]:
    """The figures that tell most: of the version, and of the champion."""
    other = champion.metrics if champion else {}
    told = figures.headlines({**other, **version.metrics}, version.model.recipe, BESIDE)
    return [(name, version.metrics.get(name), other.get(name)) for name in told]

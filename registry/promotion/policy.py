"""The rules of a model: what a version must fulfil before it becomes the champion. Data, never code."""

from __future__ import annotations

import math
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, Group
from django.db import transaction
from django.utils import timezone

from accounts import audit
from common.access import User
from common.errors import ForbiddenError, InvalidInputError
from common.push import publish
from registry import figures
from registry.access import Action, may
from registry.models import Model, ModelVersion, PromotionPolicy
from registry.models.promotion import MOST_APPROVALS
from registry.promotion.aliases import hold, topic

FIELDS = ("metric", "margin", "minimum_examples", "same_held_out", "needs_test", "approvals", "role")
MOST_EXAMPLES = 10**9
MOST_MARGIN = 1e12
RECENT = 50  # versions whose figures a policy may name


def of(model: Model) -> PromotionPolicy:
    """The model's rules; where nobody made any, an unsaved policy that asks for nothing."""
    found = PromotionPolicy.objects.filter(model=model).select_related("role").first()
    return found or PromotionPolicy(model=model)


def values(rules: PromotionPolicy) -> dict[str, Any]:
    """The rules as JSON; `role` is the group's id."""
    return {name: rules.role_id if name == "role" else getattr(rules, name) for name in FIELDS}


def may_change(user: User, model: Model) -> bool:
    """Rules bind the owner too, so whoever may go against them may change them."""
    return may(user, Action.OVERRIDE, model)


@transaction.atomic
def change(model: Model, by: AbstractBaseUser, **given: Any) -> PromotionPolicy:
    """Change the rules that are named; `role` is a group, its id or None. The audit trail keeps what they were.

    ForbiddenError for whoever may not go against rules; InvalidInputError names each wrong field.
    """
    if not may_change(by, model):
        raise ForbiddenError(
            f"You may not change the policy of {model}.",
            "That is for people of the role Release managers; an administrator gives roles.",
        )
    held = hold(model.pk)
    rules = of(held)
    wanted = _checked(held, values(rules) | given)
    before = values(rules) if rules.pk else None
    for name, value in wanted.items():
        setattr(rules, name, value)
    if values(rules) == before:
        return rules
    rules.changed_by, rules.changed_at = by, timezone.now()
    rules.save()
    audit.write(by, "changed the policy", held, before=before, after=values(rules))
    publish(topic(held.pk))
    return rules


def roles() -> list[Group]:
    """The groups whose members may approve."""
    may_approve = Group.objects.filter(
        permissions__content_type__app_label="registry", permissions__codename=Action.APPROVE
    )
    return list(may_approve.order_by("name"))


def metrics(model: Model) -> list[str]:
    """Figures of the model's newest versions that rules can name, those that tell most first."""
    newest = ModelVersion.objects.filter(model=model).order_by("-number").values_list("metrics", flat=True)
    names = {name for found in newest[:RECENT] for name in figures.own(found or {})}
    return figures.ordered((name for name in names if not _not_comparable(name, model.recipe)), model.recipe)


def _checked(model: Model, given: dict[str, Any]) -> dict[str, Any]:
    problems: dict[str, list[str]] = {}
    wanted = {name: given.get(name) for name in FIELDS}
    wanted["role"] = _role(wanted["role"], problems)
    wanted["metric"] = str(wanted["metric"] or "").strip()
    if wrong := _wrong_metric(model, wanted["metric"]):
        problems["metric"] = [wrong]
    margin = wanted["margin"]
    if margin is not None and not (_is_number(margin) and 0 <= margin <= MOST_MARGIN):
        problems["margin"] = ["Give a number from 0 on, in the figure's own unit; empty: nothing is compared."]
    if not _is_whole(wanted["minimum_examples"], MOST_EXAMPLES):
        problems["minimum_examples"] = ["Give a whole number from 0 to 1,000,000,000."]
    if not _is_whole(wanted["approvals"], MOST_APPROVALS):
        problems["approvals"] = [f"Give a whole number from 0 to {MOST_APPROVALS}."]
    if not isinstance(wanted["same_held_out"], bool):
        problems["same_held_out"] = ["Say yes or no."]
    if wanted["needs_test"] not in PromotionPolicy.Test.values:
        problems["needs_test"] = [f"Choose one of: {', '.join(PromotionPolicy.Test.values)}."]
    if problems:
        raise InvalidInputError("The policy can't be saved.", "Correct the named fields.", fields=problems)
    return wanted | {"margin": None if margin is None else float(margin)}


def _role(given: Any, problems: dict[str, list[str]]) -> Group | None:
    if given is None or given == "":
        return None
    known = {group.pk: group for group in roles()}
    found = known.get(given.pk if isinstance(given, Group) else given)
    if found is None:
        names = ", ".join(group.name for group in known.values()) or "none yet"
        problems["role"] = [f"Choose a role whose people may approve promotions. There are: {names}."]
    return found


def _wrong_metric(model: Model, name: str) -> str:
    if not name:
        return ""
    if len(name) > 100:
        return "Give at most 100 characters."
    if reason := _not_comparable(name, model.recipe):
        return reason
    known = metrics(model)
    return "" if name in known or not known else f"No version of {model} has it. They have: {', '.join(known[:12])}."


def _not_comparable(name: str, recipe: str) -> str:
    if name.partition("/")[0] not in figures.HELD_OUT:
        return "Name a figure of held-out data, such as validation/accuracy or test/loss."
    if figures.higher_is_better(name, recipe) is None:
        return "Nobody knows whether more or less of it is better: name another figure."
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most

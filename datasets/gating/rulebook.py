"""The rules themselves: made, changed and deleted, each time with a look at what is wrong with them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from accounts import audit
from common.errors import ConflictError, InvalidInputError
from datasets.gating import conditions, governance
from datasets.models import Dataset, GovernanceRule, Modality

FIELDS = {"name", "description", "enabled", "position", "dataset", "modality", "condition", "decision", "reason"}
MAX_POSITION = 1_000_000


def save(by: AbstractBaseUser, rule: GovernanceRule | None = None, **values: Any) -> GovernanceRule:
    """Make a rule, or change one; then the rules are applied again to every dataset that it concerns, or concerned.

    `values`: any of FIELDS. InvalidInputError says what is wrong, ConflictError that the name is taken.
    """
    unknown = sorted(set(values) - FIELDS)
    if unknown:
        raise InvalidInputError(f"A rule has no '{unknown[0]}'.", f"Use {', '.join(sorted(FIELDS))}.")
    row = rule or GovernanceRule()
    with transaction.atomic():
        governance.hold_rules()
        concerned = [_scope(row)] if row.pk else []
        for name, value in values.items():
            setattr(row, name, value)
        check(row)
        row.changed_by = by
        try:
            with transaction.atomic():
                row.save()
        except IntegrityError as error:
            raise ConflictError(
                f"There is a rule called '{row.name}' already.", "Choose another name, or change that rule.",
                fields={"name": ["Taken."]},
            ) from error  # fmt: skip
        what = {"decision": row.decision, "enabled": row.enabled, "condition": row.condition, "fields": sorted(values)}
        audit.write(by, "changed" if concerned else "made", row, **what)
        _apply_again(*concerned, _scope(row))
    return row


def delete(rule: GovernanceRule, by: AbstractBaseUser) -> None:
    """Remove a rule; what it decided stays on record with its name."""
    with transaction.atomic():
        governance.hold_rules()
        scope = _scope(rule)
        audit.write(by, "deleted", rule)
        GovernanceRule.objects.filter(pk=rule.pk).delete()
        _apply_again(scope)


def check(rule: GovernanceRule) -> None:
    """InvalidInputError with the field and what is wrong with it."""
    rule.name, rule.reason = " ".join(rule.name.split()), " ".join(rule.reason.split())
    for name, longest in (("name", 100), ("reason", 300)):
        text = getattr(rule, name)
        if not text or len(text) > longest:
            _refuse(name, f"The rule's {name} is missing or too long.", f"Write 1 to {longest} characters.")
    if rule.decision not in GovernanceRule.Decision.values:
        _refuse("decision", f"A rule can't decide '{rule.decision}'.", "Choose allow or refuse.")
    if rule.modality and rule.modality not in Modality.values:
        _refuse("modality", f"'{rule.modality}' is no kind of data.", f"Choose one of: {', '.join(Modality.values)}.")
    if isinstance(rule.position, bool) or not isinstance(rule.position, int) or not 0 <= rule.position <= MAX_POSITION:
        _refuse("position", "The position is out of range.", f"Use a whole number from 0 to {MAX_POSITION:,}.")
    conditions.check(rule.condition)


def _refuse(field: str, message: str, hint: str) -> None:
    raise InvalidInputError(message, hint, fields={field: [hint]})


def _scope(rule: GovernanceRule) -> dict[str, Any]:
    """Which datasets a rule is about, as a filter."""
    scope: dict[str, Any] = {"governed": True}
    if rule.dataset_id:
        scope["pk"] = rule.dataset_id
    if rule.modality:
        scope["modality"] = rule.modality
    return scope


def _apply_again(*scopes: dict[str, Any]) -> None:
    for scope in scopes:
        concerned = Dataset.objects.filter(**scope)
        concerned.update(governance_at=None)
        governance.ask(concerned)

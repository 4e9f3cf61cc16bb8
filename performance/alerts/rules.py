"""Making, changing and deleting rules. Every change is an entry of the audit trail."""

from __future__ import annotations

import math
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q

from accounts.audit import write
from common.errors import ConflictError, ForbiddenError, InvalidInputError
from common.parsers import check_text
from performance.alerts import evaluating
from performance.alerts.kinds import ABOUT
from performance.models import Alert, AlertRule, Channel, MetricRecord, Severity
from performance.recording import NAME
from registry.access import get_model

MOST = 100  # of one person
MOST_CHANNELS = 5
MAX_MINUTES, MAX_IN_A_ROW, MAX_COUNT = 10_080, 50, 1_000_000_000
GONE = "The rule was deleted."
Kind = AlertRule.Kind
TITLES = {
    "name": "Name", "kind": "What is watched", "metric": "Figure", "source": "From", "group": "Group",
    "comparison": "Comparison", "threshold": "Threshold", "clear_threshold": "Over at", "in_a_row": "Times in a row",
    "minutes": "Minutes", "minimum_count": "At least", "cool_down_minutes": "Well for", "severity": "Severity",
}  # fmt: skip


def make(owner: AbstractBaseUser | None, by: AbstractBaseUser, **values: Any) -> AlertRule:
    """A new rule of `owner`, None: of the hub, which administrators alone may give it. `values` are its fields, `model`
    (an id or None) and `channels` (ids). InvalidInputError names each field that can't be used."""
    if owner is None and not by.is_staff:  # type: ignore[attr-defined]
        raise ForbiddenError("Rules of the hub are made by administrators.", "Make one of your own.")
    with transaction.atomic():
        if owner is not None:
            get_user_model().objects.select_for_update().only("pk").get(pk=owner.pk)
            if AlertRule.objects.filter(owner=owner).count() >= MOST:
                raise ConflictError(f"You have {MOST} rules, and more are not kept.", "Delete one that is not needed.")
        rule = _write(AlertRule(owner=owner), by, values)
        write(by, "made", rule, **_told(rule))
    return rule


@transaction.atomic
def change(rule: AlertRule, by: AbstractBaseUser, **values: Any) -> AlertRule:
    """Change what is named. What is watched stays: another kind is another rule. Turned off, its alerts end."""
    rule = AlertRule.objects.select_for_update(of=("self",)).get(pk=rule.pk)
    before = _told(rule)
    if values.get("kind", rule.kind) != rule.kind:
        wrong = "A rule keeps what it watches."
        raise InvalidInputError(wrong, "Make another rule for this.", fields={"kind": [wrong]})
    rule = _write(rule, by, values)
    after = _told(rule)
    write(by, "changed", rule, **{name: [before[name], after[name]] for name in after if before[name] != after[name]})
    if not rule.enabled:
        _end_alerts(rule, "The rule was turned off.")
    return rule


@transaction.atomic
def remove(rule: AlertRule, by: AbstractBaseUser) -> None:
    """Delete a rule. What it found stays, and is over. ConflictError for one that the hub made: turn it off."""
    if rule.default:
        raise ConflictError("This rule belongs to the hub's own.", "Turn it off instead: then it says nothing.")
    rule = AlertRule.objects.select_for_update(of=("self",)).get(pk=rule.pk)
    _end_alerts(rule, GONE)
    write(by, "deleted", rule, **_told(rule))
    rule.delete()


def _end_alerts(rule: AlertRule, words: str) -> None:
    for alert in Alert.objects.filter(rule=rule, status__in=Alert.OPEN):
        evaluating.resolve(alert, words)


def _told(rule: AlertRule) -> dict[str, Any]:
    """A rule as the audit trail keeps it."""
    names = ["owner_id", "name", "enabled", "kind", "model_id", "severity", "cool_down_minutes", *_NUMBERS, *_TEXTS]
    channels = sorted(rule.channels.values_list("pk", flat=True))
    return {name: getattr(rule, name) for name in dict.fromkeys(names)} | {"channels": channels}


def _write(rule: AlertRule, by: AbstractBaseUser, values: dict[str, Any]) -> AlertRule:
    wrong: dict[str, list[str]] = {}
    channels, model = values.pop("channels", None), values.pop("model", ...)
    for name, value in values.items():
        try:
            setattr(rule, name, _CHECKS[name](value))
        except ValueError as error:
            wrong[name] = [str(error)]
    if not wrong:
        if rule.owner_id is not None and rule.kind in AlertRule.OF_MACHINES and not rule.owner.is_staff:  # type: ignore[union-attr]
            raise ForbiddenError("The machines of the hub are watched by administrators.", "Choose something else.")
        _begin(rule, wrong)
    if wrong:
        field, texts = next(iter(wrong.items()))
        raise InvalidInputError(f"{TITLES[field]}: {texts[0]}", "Correct that and save it again.", fields=wrong)
    if "model" not in ABOUT[Kind(rule.kind)].fields:
        rule.model = None
    elif model is not ...:
        rule.model = None if model is None else get_model(rule.owner or by, model)
    rule.save()
    if channels is not None:
        rule.channels.set(_channels(rule, channels))
    return rule


def _begin(rule: AlertRule, wrong: dict[str, list[str]]) -> None:
    """What was left open gets its kind's beginning; what contradicts itself is refused."""
    about = ABOUT[Kind(rule.kind)]
    if "threshold" not in about.fields:
        rule.threshold = rule.clear_threshold = None
        return
    rule.threshold = about.threshold if rule.threshold is None else rule.threshold
    if rule.kind == Kind.METRIC and not rule.metric:
        wrong["metric"] = ["Name the figure, such as production/accuracy."]
    if rule.threshold is None:
        wrong["threshold"] = ["Type a number."]
        return
    if rule.kind != Kind.METRIC:
        rule.comparison = AlertRule.Comparison.ABOVE
        if rule.threshold <= 0 or (rule.kind == Kind.DISK and rule.threshold > 100):
            wrong["threshold"] = ["Use more than 0" + (", at most 100." if rule.kind == Kind.DISK else ".")]
    if rule.clear_threshold is None and about.clear_threshold is not None:
        rule.clear_threshold = min(about.clear_threshold, rule.threshold)
    if rule.clear_threshold is not None:
        above = rule.comparison == AlertRule.Comparison.ABOVE
        if rule.clear_threshold > rule.threshold if above else rule.clear_threshold < rule.threshold:
            side = "above" if above else "below"
            wrong["clear_threshold"] = [f"Must not lie {side} the threshold: it would be over while it is wrong."]


def _channels(rule: AlertRule, ids: list[int]) -> list[Channel]:
    """Channels of the rule's owner; of the hub's rules, those of administrators."""
    whose = Q(owner__is_staff=True) if rule.owner_id is None else Q(owner=rule.owner_id)
    found = list(Channel.objects.filter(whose, pk__in=ids))
    if len(found) < len(set(ids)) or len(found) > MOST_CHANNELS:
        wrong = f"Choose at most {MOST_CHANNELS} of your own channels."
        raise InvalidInputError("These channels can't be used.", wrong, fields={"channels": [wrong]})
    return found


def _name(value: str) -> str:
    value = value.strip()
    check_text(value)
    if not 0 < len(value) <= 100:
        raise ValueError("Type a name, at most 100 characters.")
    return value


def _metric(value: str) -> str:
    value = value.strip()
    if value and not NAME.fullmatch(value):
        raise ValueError("Use letters, digits and / . _ - @ %, at most 100, such as production/accuracy.")
    return value


def _group(value: str) -> str:
    value = value.strip()
    check_text(value)
    if len(value) > 100:
        raise ValueError("At most 100 characters.")
    return value


def _one_of(values: list[str]) -> Any:
    def check(value: str) -> str:
        if value not in values:
            raise ValueError(f"Choose one of: {', '.join(filter(None, values))}.")
        return value

    return check


def _figure(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError("Give a number, such as 0.01; thousands without a mark: 10000.")
    return None if value is None else float(value)


def _whole(least: int, most: int) -> Any:
    def check(value: int) -> int:
        if isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"Use a whole number from {least:,} to {most:,}.")
        return int(value)

    return check


_NUMBERS: dict[str, Any] = {
    "threshold": _figure, "clear_threshold": _figure, "in_a_row": _whole(1, MAX_IN_A_ROW),
    "minutes": _whole(1, MAX_MINUTES), "minimum_count": _whole(0, MAX_COUNT),
    "cool_down_minutes": _whole(0, MAX_MINUTES),
}  # fmt: skip
_TEXTS: dict[str, Any] = {
    "metric": _metric, "source": _one_of(["", *MetricRecord.Source.values]), "group": _group,
    "comparison": _one_of(AlertRule.Comparison.values),
}  # fmt: skip
_CHECKS: dict[str, Any] = {
    "name": _name, "enabled": bool, "kind": _one_of(Kind.values), "severity": _one_of(Severity.values),
    **_NUMBERS, **_TEXTS,
}  # fmt: skip

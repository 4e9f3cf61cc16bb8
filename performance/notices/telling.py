"""When channels are told of alerts: once when one opens, once at its end, once a day while nobody takes it up.

The first is told at once. What a rule finds within the next minute is told together, so that a burst of many is a few
notices; what opened and ended in that time is not told at all.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from performance.models import Alert, AlertEvent, AlertRule, Channel
from performance.notices import delivering

GATHER = timedelta(seconds=60)
REMIND = timedelta(hours=24)
NAMED = 20  # of one notice; how many more there are is told
OPENED, RESOLVED, REMINDER = "alert.opened", "alert.resolved", "alert.reminder"
TITLES = {OPENED: "", RESOLVED: "Over: ", REMINDER: "Still open: "}
Open = Alert.Status.ACTIVE


def tell_all() -> None:
    """Tell of every rule that has something to tell. A rule without channels has none."""
    waiting = AlertRule.objects.filter(channels__isnull=False, alerts__in=_waiting()).distinct()
    for rule in waiting.select_related("owner"):
        tell(rule)


@transaction.atomic
def tell(rule: AlertRule) -> int:
    """Put down what is to be told for a rule's channels, unless that was done within the last minute; how many
    notices. Two processes at once: one of them tells."""
    rested = Q(told_at__isnull=True) | Q(told_at__lte=Now() - GATHER)
    waiting = _waiting().filter(rule=rule)
    if not waiting.exists() or not AlertRule.objects.filter(rested, pk=rule.pk).update(told_at=Now()):
        return 0
    channels = [channel for channel in rule.channels.select_related("owner") if may_hear(rule, channel)]
    told = 0
    for event, rows in (
        (OPENED, waiting.filter(told="", status__in=Alert.OPEN)),
        (RESOLVED, waiting.filter(told="opened", status=Alert.Status.RESOLVED)),
        (REMINDER, waiting.filter(told="opened", status=Open)),
    ):
        told += _tell(rule, channels, event, rows)
    return told


def may_hear(rule: AlertRule, channel: Channel) -> bool:
    """Whether a channel is still its rule's to name: people leave, and administrators become others."""
    whose = channel.owner.is_staff if rule.owner_id is None else channel.owner_id == rule.owner_id
    return whose and channel.enabled and channel.owner.is_active


def _waiting() -> QuerySet[Alert]:
    """Alerts that something is to be told of."""
    awake = Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=Now())
    opened = Q(told="", status__in=Alert.OPEN)
    ended = Q(told="opened", status=Alert.Status.RESOLVED)
    forgotten = Q(told="opened", status=Open, told_at__lte=Now() - REMIND)
    return Alert.objects.filter((opened & awake) | ended | (forgotten & awake))


def _tell(rule: AlertRule, channels: list[Channel], event: str, rows: QuerySet[Alert]) -> int:
    # Locked, so that what is told is what stands when this commits.
    alerts = list(rows.select_for_update(of=("self",)).order_by("pk"))
    if not alerts:
        return 0
    first = alerts[0]
    key = f"{event} {first.pk} {first.reminders}"
    payload = payload_of(rule, event, alerts)
    made = [channel for channel in channels if delivering.put(channel, key, event, payload)]
    known = "resolved" if event == RESOLVED else "opened"
    counted = {"reminders": F("reminders") + 1} if event == REMINDER else {}
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(told=known, told_at=Now(), **counted)
    if made:
        words = ", ".join(channel.name for channel in made)
        AlertEvent.objects.bulk_create(
            AlertEvent(alert=alert, kind=AlertEvent.Kind.TOLD, at=Now(), words=words[:1000]) for alert in alerts
        )
    return len(made)


def payload_of(rule: AlertRule, event: str, alerts: list[Alert]) -> dict[str, Any]:
    """What is told: the rule, and the alerts, the first of them in full."""
    first = alerts[0]
    many = f"{len(alerts):,} alerts of '{rule.name}'"
    return {
        "title": f"{TITLES[event]}{first.title if len(alerts) == 1 else many}"[:300],
        "rule": {"id": rule.pk, "name": rule.name, "kind": rule.kind},
        "count": len(alerts),
        "more": max(0, len(alerts) - NAMED),
        "alerts": [_told(alert) for alert in alerts[:NAMED]],
        "url": f"{settings.TRAINHUB_URL}/performance/alerts",
    }


def _told(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.pk, "title": alert.title, "words": alert.words, "status": alert.status, "severity": alert.severity,
        "target": alert.target, "model": alert.model_id, "value": alert.value, "threshold": alert.threshold,
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        "evidence": alert.evidence, "url": f"{settings.TRAINHUB_URL}/performance/alerts/{alert.pk}",
    }  # fmt: skip

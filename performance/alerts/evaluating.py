"""From how things stand to alerts: opened, seen again, over. Safe to repeat and to run in several processes at once."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from common.background import enqueue
from common.outages import database_is_away
from common.push import publish
from performance.alerts.signals.reading import Signal, look, look_all
from performance.models import Alert, AlertEvent, AlertRule
from performance.notices import telling

log = logging.getLogger(__name__)

TASK = "performance.tasks.evaluate_alerts"
SEEN_SECONDS = 60  # an alert that is seen again is noted at most so often, unless something new was found
SOON_SECONDS = 2.0
AT_ONCE = 200  # alerts that are written by one query
GONE = "What it was about is no longer there."
SEEN = ("title", "words", "value", "threshold", "evidence", "mark", "last_seen_at", "times_seen", "well_since")
# The last alert of each rule for a target.
LAST = """
SELECT last.* FROM unnest(%s::bigint[], %s::text[]) AS asked(rule_id, target) CROSS JOIN LATERAL (
    SELECT * FROM performance_alert alert WHERE alert.rule_id = asked.rule_id AND alert.target = asked.target
    ORDER BY id DESC LIMIT 1
) last
"""
Looked = tuple[AlertRule, list[Signal]]
_asked = [0.0]  # monotonic: when this process last asked for a look


def soon() -> None:
    """Have all rules looked at once the present transaction has committed; for whoever writes what they read.

    Many calls make one look: what this one leaves out, the sweep finds within seconds.
    """
    if time.monotonic() < _asked[0] + SOON_SECONDS:
        return
    _asked[0] = time.monotonic()
    enqueue(TASK)


def evaluate_all() -> int:
    """Look at every rule; returns how many alerts are new. One rule that can't be looked at stops no other. How many
    queries that takes depends on the kinds of rules, and on what is new, but not on how many rules there are."""
    rows = AlertRule.objects.filter(Q(owner__isnull=True) | Q(owner__is_active=True), enabled=True)
    by_kind: dict[str, list[AlertRule]] = {}
    for rule in rows.select_related("owner", "model").defer("owner__password"):
        by_kind.setdefault(rule.kind, []).append(rule)
    opened = sum(map(_round, by_kind.values()))
    telling.tell_all()
    return opened


def evaluate(rule: AlertRule) -> int:
    """Bring the alerts of a rule up to how things stand; returns how many were opened."""
    return _follow_all([(rule, look(rule))])


def _round(rules: list[AlertRule]) -> int:
    """Look at rules of one kind together; where that fails at each half of them, down to the one that is told."""
    try:
        with transaction.atomic():
            return _follow_all(list(zip(rules, look_all(rules), strict=True)))
    except Exception as error:
        if database_is_away(error):
            raise
        if len(rules) == 1:
            log.exception("alert rule %s could not be looked at", rules[0].pk)
            return 0
    half = len(rules) // 2
    return _round(rules[:half]) + _round(rules[half:])


def _follow_all(looked: list[Looked]) -> int:
    """Bring the alerts of these rules up to date; returns how many were opened. What has stayed as it was costs one
    query, for all of them together."""
    open_now = _open_alerts([rule for rule, _ in looked])
    changes = _Changes()
    new = []
    for rule, signals in looked:
        by_target = {signal.target: signal for signal in signals}
        mine = open_now.get(rule.pk, {})
        for target, alert in mine.items():
            if target in by_target:
                _follow(rule, alert, by_target[target], changes)
            else:
                changes.over.append((alert, GONE, None))
        new += [(rule, signal) for target, signal in by_target.items() if signal.wrong and target not in mine]
    changes.write()
    settled = _settled(new) if new else set()
    return sum(_opened(rule, signal) for rule, signal in new if (rule.pk, signal.target, signal.mark) not in settled)


def _open_alerts(rules: list[AlertRule]) -> dict[int, dict[str, Alert]]:
    """The open alerts by rule and target, with what time it is by the database's clock."""
    found: dict[int, dict[str, Alert]] = {}
    for alert in Alert.objects.filter(rule__in=rules, status__in=Alert.OPEN).annotate(now=Now()):
        assert alert.rule_id is not None
        found.setdefault(alert.rule_id, {})[alert.target] = alert
    return found


def _settled(new: list[tuple[AlertRule, Signal]]) -> set[tuple[int | None, str, str]]:
    """What somebody has called settled, and that nothing came after: as (rule, target, mark)."""
    keys = [[rule.pk for rule, _ in new], [signal.target for _, signal in new]]
    rows = [alert for alert in Alert.objects.raw(LAST, keys) if alert.resolved_by_hand]
    return {(alert.rule_id, alert.target, alert.mark) for alert in rows}


def _opened(rule: AlertRule, signal: Signal) -> bool:
    """Open an alert, unless another process did."""
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                rule=rule, owner_id=rule.owner_id, rule_name=rule.name, kind=rule.kind, severity=rule.severity,
                model_id=signal.model_id, target=signal.target, opened_at=Now(), last_seen_at=Now(),
                **_found(rule, signal),
            )  # fmt: skip
            note(alert, AlertEvent.Kind.OPENED, words=signal.words)
    except IntegrityError:  # another sweep was there first, or what it is about went at this moment
        return False
    return True


@dataclass
class _Changes:
    """What is to be written of open alerts: much of it is the same for many, and written at once."""

    found: list[Alert] = field(default_factory=list)  # something new was
    seen: list[Alert] = field(default_factory=list)  # as before
    ill: list[int] = field(default_factory=list)  # no longer well
    well: list[int] = field(default_factory=list)  # from now on
    over: list[tuple[Alert, str, timedelta | None]] = field(default_factory=list)  # as `resolve` takes them

    def write(self) -> None:
        rows = Alert.objects.filter(status__in=Alert.OPEN)
        if self.found:
            rows.bulk_update(self.found, SEEN, batch_size=AT_ONCE)
            publish(*sorted({topic for alert in self.found for topic in topics(alert)}))
        if self.seen:  # by one of several processes
            long_ago = Now() - timedelta(seconds=SEEN_SECONDS)
            rows.filter(last_seen_at__lt=long_ago).bulk_update(self.seen, SEEN, batch_size=AT_ONCE)
        if self.ill:
            rows.filter(pk__in=self.ill, well_since__isnull=False).update(well_since=None)
        if self.well:
            rows.filter(pk__in=self.well, well_since__isnull=True).update(well_since=Now())
        for alert, words, rested in self.over:
            resolve(alert, words, rested=rested)


def _follow(rule: AlertRule, alert: Alert, signal: Signal, changes: _Changes) -> None:
    """One that is open: seen again, on its way to being well, or over."""
    if signal.wrong:
        _see(rule, alert, signal, changes)
    elif not signal.well:
        if alert.evidence.get("version") != signal.evidence.get("version"):
            # It told of a version that is no longer in use; what the one in use does is another finding.
            changes.over.append((alert, signal.words or GONE, None))
        elif alert.well_since is not None:
            changes.ill.append(alert.pk)
    elif alert.well_since is None and rule.cool_down_minutes:
        changes.well.append(alert.pk)
    else:
        rested = timedelta(minutes=rule.cool_down_minutes)
        if not rested or alert.now - alert.well_since >= rested:  # type: ignore[attr-defined]
            changes.over.append((alert, signal.words, rested))


def _see(rule: AlertRule, alert: Alert, signal: Signal, changes: _Changes) -> None:
    new = alert.mark != signal.mark
    long_ago = alert.now - alert.last_seen_at > timedelta(seconds=SEEN_SECONDS)  # type: ignore[attr-defined]
    if not new and alert.well_since is not None:
        changes.ill.append(alert.pk)
    if not new and not long_ago:
        return
    for name, value in _found(rule, signal).items():
        setattr(alert, name, value)
    alert.last_seen_at, alert.times_seen, alert.well_since = Now(), F("times_seen") + 1, None  # type: ignore[assignment]
    (changes.found if new else changes.seen).append(alert)


def _found(rule: AlertRule, signal: Signal) -> dict[str, object]:
    return {
        "title": signal.title[:300], "words": signal.words[:1000], "value": signal.value, "threshold": rule.threshold,
        "evidence": signal.evidence, "mark": signal.mark[:100],
    }  # fmt: skip


@transaction.atomic
def resolve(alert: Alert, words: str, *, by: str = "", rested: timedelta | None = None) -> bool:
    """End an open alert, `by` somebody or by itself; False when it had ended. With `rested`: only when it has been
    well for so long by the database's clock."""
    rows = Alert.objects.filter(pk=alert.pk, status__in=Alert.OPEN)
    if rested:
        rows = rows.filter(well_since__lte=Now() - rested)
    ended = rows.update(status=Alert.Status.RESOLVED, resolved_at=Now(), resolved_by_hand=bool(by), well_since=None)
    if ended:
        note(alert, AlertEvent.Kind.RESOLVED, by=by, words=words)
    return bool(ended)


def note(alert: Alert, kind: AlertEvent.Kind, *, by: str = "", words: str = "") -> None:
    """Put down what happened to an alert, and tell the pages; in the transaction of what it tells."""
    AlertEvent.objects.create(alert=alert, kind=kind, at=Now(), by=by, words=words[:1000])
    publish(*topics(alert))


def topics(alert: Alert) -> tuple[str, ...]:
    """What pages that show it listen to."""
    return ("alerts", f"alerts.{alert.owner_id or 'hub'}")

"""What people do about an alert. Each is one guarded update with its event, and an entry of the audit trail."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts.audit import write
from common.errors import ConflictError, InvalidInputError
from common.parsers import check_text
from performance.alerts import evaluating
from performance.alerts.access import require_deal
from performance.models import Alert, AlertEvent

MAX_NOTE = 500
LONGEST_SNOOZE = timedelta(days=30)


@transaction.atomic
def acknowledge(alert: Alert, by: AbstractBaseUser, note: str = "") -> Alert:
    """Say that somebody is at it: no more reminders are sent. ConflictError when it has ended.

    Acknowledged again, it is the same person's or another's note more.
    """
    require_deal(by, alert)
    note = _note(note)
    rows = Alert.objects.filter(pk=alert.pk, status__in=Alert.OPEN)
    changed = rows.update(status=Alert.Status.ACKNOWLEDGED, acknowledged_at=Now(), acknowledged_by=by)
    _require_open(alert, changed)
    return _noted(alert, by, AlertEvent.Kind.ACKNOWLEDGED, note)


@transaction.atomic
def resolve(alert: Alert, by: AbstractBaseUser, note: str = "") -> Alert:
    """Call it over. It opens again once something new is found, and not for what was found already."""
    require_deal(by, alert)
    note = _note(note)
    _require_open(alert, evaluating.resolve(alert, note, by=by.get_username()))
    write(by, "resolved", alert, note=note)
    alert.refresh_from_db()
    return alert


@transaction.atomic
def snooze(alert: Alert, by: AbstractBaseUser, until: datetime, note: str = "") -> Alert:
    """Put it off until a time: it is not counted and nobody is reminded; what is told at its end is still told."""
    require_deal(by, alert)
    now = timezone.now()
    if not now < until <= now + LONGEST_SNOOZE:
        wrong = f"Choose a time within the next {LONGEST_SNOOZE.days} days."
        raise InvalidInputError("It can't be put off until then.", wrong, fields={"until": [wrong]})
    note = _note(note)
    _require_open(alert, Alert.objects.filter(pk=alert.pk, status__in=Alert.OPEN).update(snoozed_until=until))
    words = f"Until {timezone.localtime(until):%Y-%m-%d %H:%M %Z}. {note}".strip()
    return _noted(alert, by, AlertEvent.Kind.SNOOZED, words)


def _noted(alert: Alert, by: AbstractBaseUser, kind: AlertEvent.Kind, words: str) -> Alert:
    evaluating.note(alert, kind, by=by.get_username(), words=words)
    write(by, kind.value, alert, note=words)
    alert.refresh_from_db()
    return alert


def _require_open(alert: Alert, changed: int | bool) -> None:
    if not changed:
        raise ConflictError(f"'{alert}' is over already.", "Nothing has to be done about it.")


def _note(text: str) -> str:
    text = text.strip()
    try:
        check_text(text)
    except ValueError as error:
        raise InvalidInputError("The note can't be kept.", str(error), fields={"note": [str(error)]}) from error
    if len(text) > MAX_NOTE:
        wrong = f"At most {MAX_NOTE} characters."
        raise InvalidInputError("The note is too long.", wrong, fields={"note": [wrong]})
    return text

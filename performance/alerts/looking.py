"""What pages show of alerts."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, IntegerField, Q, When

from common.access import User
from performance.alerts.access import awake, may_deal, open_for, shown
from performance.models import Alert, Severity

BOX = 5
MOST = 99
RANK = Case(
    *(When(severity=name, then=rank) for rank, name in enumerate(reversed(Severity.values))),
    output_field=IntegerField(),
)  # worst first


def count(user: User) -> int:
    """How many are this person's to deal with; more than 99 are counted no further. One query, on every page."""
    rows = awake(Alert.objects.filter(status__in=Alert.OPEN)).order_by()
    if not getattr(user, "is_staff", False):
        rows = rows.filter(Q(owner=user) | Q(owner__isnull=True, model__owner=user))
    return len(rows.values_list("pk", flat=True)[: MOST + 1])


def box(user: User, most: int = BOX) -> dict[str, Any]:
    """The worst and newest of them, and how many there are."""
    found = list(shown(open_for(user)).order_by(RANK, "-pk")[: most + 1])
    entries = [{"alert": alert, "may_deal": may_deal(user, alert)} for alert in found[:most]]
    return {"alerts": entries, "more_alerts": len(found) > most}

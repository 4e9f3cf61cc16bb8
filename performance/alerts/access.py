"""Who sees an alert or a rule, and who may do something about it.

A person sees what their own rules found, and what the hub's rules found about models that they see. Administrators see
all. An alert of the hub's about a model is dealt with by the model's owner and by those who may deploy it.
"""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from common.access import User, get_visible, visible
from common.errors import ForbiddenError, NotFoundError
from performance.models import Alert, AlertRule
from registry.access import Action, may, models_for


def alerts_for(user: User) -> QuerySet[Alert]:
    """The alerts that somebody may see."""
    rows = Alert.objects.all()
    if getattr(user, "is_staff", False):
        return rows
    if not user.is_authenticated:
        return rows.none()
    seen = Q(model__in=models_for(user))
    return rows.filter((Q(owner=user) & (Q(model__isnull=True) | seen)) | (Q(owner__isnull=True) & seen))


def open_for(user: User) -> QuerySet[Alert]:
    """Those that want somebody's attention now: open, and not put off."""
    return awake(alerts_for(user).filter(status__in=Alert.OPEN))


def awake(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """Those that are not put off."""
    return rows.filter(Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=Now()))


def shown(rows: QuerySet[Alert]) -> QuerySet[Alert]:
    """With what a list shows of each."""
    return rows.select_related("model", "acknowledged_by").defer("acknowledged_by__password")


def get_alert(user: User, pk: int | str) -> Alert:
    """The alert, if it exists for this person; else NotFoundError."""
    rows = shown(alerts_for(user))
    try:
        found = rows.filter(pk=pk).first()
    except (ValueError, TypeError, OverflowError):
        found = None
    if found is None:
        raise NotFoundError(
            f"There is no alert {str(pk)[:40]} for you.", "Check the address. It may belong to someone else."
        )
    return found


def may_deal(user: User, alert: Alert) -> bool:
    """Whether somebody who sees it may acknowledge, resolve or put it off."""
    if getattr(user, "is_staff", False) or (alert.owner_id is not None and alert.owner_id == user.pk):
        return True
    return alert.model is not None and may(user, Action.DEPLOY, alert.model)


def require_deal(user: User, alert: Alert) -> None:
    """ForbiddenError in words when they may not."""
    if not may_deal(user, alert):
        raise ForbiddenError(
            f"You may see '{alert}', and not deal with it.",
            "That is for the owner of its rule or model, release managers and administrators.",
        )


def rules_for(user: User) -> QuerySet[AlertRule]:
    """The rules that somebody may see and change: their own; administrators: all, and the hub's."""
    return visible(AlertRule.objects.select_related("model").prefetch_related("channels"), user)


def get_rule(user: User, pk: int | str) -> AlertRule:
    """The rule, if it exists for this person; else NotFoundError."""
    return get_visible(rules_for(user), user, pk=pk)

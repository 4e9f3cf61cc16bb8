"""Alerts, rules and notices for administrators: read and dealt with, the same verbs as actions. No secret is shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from performance.alerts import dealing
from performance.models import Alert, AlertEvent, AlertRule, Channel, Delivery, DeliveryTry
from performance.notices import delivering


def _each(request: HttpRequest, rows: QuerySet[Any], verb: Any, said: str) -> None:
    """Carry out a verb on each row; what is refused is told, and stops no other."""
    done = 0
    for row in rows[:1000]:
        try:
            verb(row, request.user)
            done += 1
        except ProblemError as problem:
            messages.warning(request, f"{row}: {problem.message}")
    if done:
        messages.success(request, f"{done:,} {said}.")


@admin.register(AlertRule)
class AlertRuleAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "owner", "model", "severity", "enabled", "told_at"]
    list_select_related = ["owner", "model"]
    list_filter = ["kind", "enabled", "severity"]
    search_fields = ["name", "owner__username"]


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    list_display = ["title", "severity", "status", "rule_name", "owner", "opened_at", "resolved_at"]
    list_select_related = ["owner"]
    list_filter = ["status", "severity", "kind", "opened_at"]
    search_fields = ["title", "rule_name"]
    actions = ["acknowledge", "resolve"]

    @admin.action(description="Acknowledge")
    def acknowledge(self, request: HttpRequest, rows: QuerySet[Alert]) -> None:
        _each(request, rows.select_related("model"), dealing.acknowledge, "acknowledged")

    @admin.action(description="Resolve")
    def resolve(self, request: HttpRequest, rows: QuerySet[Alert]) -> None:
        _each(request, rows.select_related("model"), dealing.resolve, "resolved")


@admin.register(AlertEvent)
class AlertEventAdmin(ReadOnlyAdmin):
    list_display = ["kind", "alert", "by", "at"]
    list_select_related = ["alert"]
    list_filter = ["kind", "at"]
    search_fields = ["alert__title", "by"]


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "owner", "enabled", "last_error"]
    list_select_related = ["owner"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name", "owner__username"]
    exclude = ["sealed_secret"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["id", "event", "channel", "tries", "created_at", "delivered_at", "dead_at"]
    list_select_related = ["channel"]
    list_filter = ["event", "created_at"]
    search_fields = ["id", "channel__name"]
    actions = ["redeliver"]

    @admin.action(description="Send again")
    def redeliver(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        _each(request, rows, delivering.redeliver, "on their way again")


@admin.register(DeliveryTry)
class DeliveryTryAdmin(ReadOnlyAdmin):
    list_display = ["delivery", "number", "at", "status", "milliseconds", "error"]
    list_select_related = ["delivery__channel"]
    list_filter = ["at"]
    search_fields = ["delivery__id", "error"]

"""What templates say of alerts."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.icons import svg
from performance.alerts import looking
from performance.alerts.kinds import LOOKS
from performance.alerts.wording import sentence, told
from performance.models import Alert, AlertRule, Delivery, Severity

register = template.Library()
register.filter("rule_sentence", sentence)
register.filter("rule_told", told)

STATES = {
    Alert.Status.ACTIVE: ("red", "alert-triangle"),
    Alert.Status.ACKNOWLEDGED: ("blue", "user"),
    Alert.Status.RESOLVED: ("green", "check"),
}


@register.simple_tag
def severity_badge(alert: Alert | AlertRule) -> SafeString:
    return _badge(*LOOKS[Severity(alert.severity)], alert.get_severity_display())


@register.simple_tag
def alert_badge(alert: Alert) -> SafeString:
    return _badge(*STATES[Alert.Status(alert.status)], alert.get_status_display())


@register.simple_tag
def delivery_badge(delivery: Delivery) -> SafeString:
    if delivery.delivered_at:
        return _badge("green", "check", "Delivered")
    if delivery.dead_at:
        return _badge("red", "x", "Given up")
    return _badge("blue", "hourglass", "On its way" if not delivery.tries else "Tried again")


@register.simple_tag(takes_context=True)
def open_alerts(context: RequestContext) -> int:
    """How many alerts want the reader's attention."""
    user = context.get("user")
    return looking.count(user) if user is not None and user.is_authenticated else 0


@register.inclusion_tag("performance/_alerts_box.html", takes_context=True)
def alerts_box(context: RequestContext) -> dict[str, Any]:
    return looking.box(context["user"])


def _badge(colour: str, icon: str, word: str) -> SafeString:
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)

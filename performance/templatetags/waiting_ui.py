"""What waits for the reader's decision."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.context import RequestContext

from performance import waiting

register = template.Library()


@register.simple_tag(takes_context=True)
def waiting_promotions(context: RequestContext) -> int:
    """How many promotions the reader can approve now."""
    user = context.get("user")
    return waiting.promotions(user) if user is not None else 0


@register.inclusion_tag("dashboard/_decisions.html", takes_context=True)
def waiting_decisions(context: RequestContext) -> dict[str, Any]:
    return waiting.shown(context["user"])

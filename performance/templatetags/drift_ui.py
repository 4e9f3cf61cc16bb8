"""Drift checks in templates."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from common.templatetags.hub import badge
from performance.drift import showing, words
from performance.models import DriftCheck

register = template.Library()


@register.simple_tag
def verdict_badge(check: DriftCheck) -> SafeString:
    """What came of a check: icon, word and colour."""
    return badge(*showing.state(check), "drift-state")


@register.filter
def p_value(p: float | None) -> str:
    """A p-value without digits that say nothing."""
    return "–" if p is None else words.p_value(p).removeprefix("= ")


@register.filter
def reference(check: DriftCheck) -> str:
    """What it was compared with."""
    return showing.reference(check)

"""What templates say about figures of use."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from performance.use import names
from performance.use.reading import Row, said

register = template.Library()


@register.filter
def use_title(name: str) -> str:
    return names.TITLES.get(name, name)


@register.simple_tag
def use_said(name: str, value: float) -> str:
    return said(name, value)


@register.simple_tag
def use_cell(row: Row, name: str) -> SafeString:
    """A figure of a version or group, with how many it rests on where that is not all; else what is estimated."""
    value = row.values.get(name)
    if value is None and name == names.ACCURACY and row.estimate is not None:
        return format_html('<span class="text-secondary">{} estimated</span>', said(name, row.estimate))
    if name in (names.REQUESTS, names.ERRORS) or value is None:
        return format_html("{}", said(name, value))
    return format_html('{} <span class="text-secondary">of {}</span>', said(name, value), f"{row.counts[name]:,}")

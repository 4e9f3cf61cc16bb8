"""What templates say of runs side by side."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import wording
from history.comparing.looks import Look
from history.comparing.tables import Cell
from registry.templatetags.registry_ui import recipe_title

register = template.Library()
register.filter("recipe_title", recipe_title)


@register.simple_tag
def line_sample(look: Look) -> SafeString:
    """A stretch of the line that stands for a run."""
    return format_html(
        '<svg class="line-sample tone-{}" viewBox="0 0 28 10" width="28" height="10" aria-hidden="true">'
        '<path d="M1 5H27" stroke-dasharray="{}"/></svg>',
        look.tone, look.dashes,
    )  # fmt: skip


@register.filter
def said(cell: Cell, kind: str) -> str:
    """What one run says, in words; `kind` is that of the row."""
    value = cell.value
    if not cell.there:
        return cell.note
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if kind == "seconds":
        return wording.duration(value)
    if kind == "hash":
        return str(value)[:10]
    return wording.number(value) if isinstance(value, float) else str(value)

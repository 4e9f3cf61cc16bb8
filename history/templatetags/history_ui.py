"""What templates say about finished runs."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.icons import svg
from common.templatetags.hub import badge
from history.models import Session
from history.rows import Headline
from jobs.estimates import money
from jobs.templatetags.jobs_ui import status_word

register = template.Library()


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """How a run ended; records that came from elsewhere may not say."""
    return status_word(outcome) if outcome else badge("grey", "check", "Recorded")


@register.filter
def cost(session: Session) -> str:
    """What it cost, with its currency."""
    return money(session.cost or 0.0, session.currency)


@register.simple_tag
def headline_change(headline: Headline) -> SafeString | str:
    """How a metric compares with that of the version before: icon, words, colour."""
    if headline.before is None:
        return ""
    beside = f"than v{headline.number}"
    if headline.better is None:
        return format_html('<div class="text-secondary">as v{}</div>', headline.number)
    colour, icon, word = ("green", "check", "better") if headline.better else ("red", "alert-triangle", "worse")
    return format_html(
        '<div><span class="state state-{}">{}<span>{} {} {}</span></span></div>',
        colour, svg(icon), headline.change, word, beside,
    )  # fmt: skip

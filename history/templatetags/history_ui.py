"""What templates say about finished runs."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from common.templatetags.hub import badge
from jobs.templatetags.jobs_ui import status_word

register = template.Library()


@register.simple_tag
def outcome_badge(outcome: str) -> SafeString:
    """How a run ended; records that came from elsewhere may not say."""
    return status_word(outcome) if outcome else badge("grey", "check", "Recorded")

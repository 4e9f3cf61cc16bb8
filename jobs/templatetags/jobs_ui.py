"""What templates say about jobs."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import wording
from common.icons import svg
from engine.catalogue import RECIPES
from jobs.models import Job
from jobs.states import LOOKS, Request, Status
from registry.templatetags.registry_ui import recipe_title

register = template.Library()
register.filter("recipe_title", recipe_title)
ICONS = {"text": "text", "image": "image", None: "spark"}


@register.simple_tag
def status_badge(job: Job, test_id: str = "") -> SafeString:
    """The job's status; while a wish waits for its safe point, the wish."""
    wish = Request(job.request)
    word = wish.label if wish else Status(job.status).label
    return _badge(Status(job.status), word, test_id)


@register.simple_tag
def status_word(status: str) -> SafeString:
    """The badge of a bare status."""
    return _badge(Status(status), Status(status).label, "") if status in Status.values else format_html("{}", status)


def _badge(status: Status, word: str, test_id: str) -> SafeString:
    colour, icon = LOOKS[status]
    live = " is-live" if status == Status.RUNNING else ""
    attribute = format_html(' data-testid="{}"', test_id) if test_id else ""
    return format_html(
        '<span class="state state-{}{}"{}>{}<span>{}</span></span>', colour, live, attribute, svg(icon), word
    )


@register.filter
def recipe_icon(name: str) -> str:
    return ICONS.get(RECIPES[name].modality, "spark") if name in RECIPES else "spark"


@register.filter
def steps(job: Job) -> str:
    """'1,200 / 2,000', or what is known of it."""
    if not job.total_steps:
        return wording.number(job.current_step) if job.current_step else wording.NOTHING
    return f"{job.current_step:,} / {job.total_steps:,}"


@register.filter
def elapsed(job: Job) -> float:
    return job.elapsed_seconds()

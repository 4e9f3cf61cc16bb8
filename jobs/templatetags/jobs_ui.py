"""What templates say about jobs."""

from __future__ import annotations

from datetime import datetime
from functools import cache

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import wording
from common.icons import svg
from common.templatetags.hub import ticking
from engine.catalogue import RECIPES
from engine.recipes.generate.config import lines
from jobs import estimates, presentation
from jobs.generation.shown import makes_examples
from jobs.models import Attempt, Job
from jobs.queue_pictures import View
from jobs.states import LOOKS, Priority, Request, Status
from registry.templatetags.registry_ui import recipe_title

register = template.Library()
register.filter("recipe_title", recipe_title)
# Colour and icon of each way in which an attempt can end.
OUTCOMES: dict[str, tuple[str, str]] = {
    Attempt.Outcome.COMPLETED: LOOKS[Status.COMPLETED],
    Attempt.Outcome.FAILED: LOOKS[Status.FAILED],
    Attempt.Outcome.CANCELLED: LOOKS[Status.CANCELLED],
    Attempt.Outcome.PAUSED: LOOKS[Status.PAUSED],
    Attempt.Outcome.STOPPED: ("secondary", "stop"),
    Attempt.Outcome.PREEMPTED: ("yellow", "arrow-down"),
    Attempt.Outcome.CRASHED: ("red", "alert-triangle"),
    Attempt.Outcome.LOST: ("red", "alert-triangle"),
}
ICONS = {"text": "text", "image": "image", None: "spark"}


register.filter("generates", makes_examples)


@register.filter
def expectation(job: Job) -> str:
    """What was expected of a job, beside what happened."""
    return estimates.compared(job)


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


@cache
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
def priority(value: int) -> str:
    """A named level by its name, any other priority as the number."""
    return presentation.priority(value)


@register.simple_tag
def level_of(value: object) -> str:
    """The choice that stands for a priority: a level's number as text, else 'number'."""
    text = str(value)
    return text if text in {str(level) for level in Priority.values} else "number"


@register.filter
def needs(job: Job) -> str:
    """What it needs of a node, in words."""
    return str(presentation.needs(job))


@register.simple_tag
def at_page(view: View, number: int) -> str:
    """The query of another page of the queue, with the same filters."""
    return view.at(number)


@register.simple_tag
def outcome_badge(attempt: Attempt) -> SafeString:
    """How an attempt ended, or that it runs."""
    colour, icon = OUTCOMES.get(attempt.outcome, LOOKS[Status.RUNNING])
    word = attempt.get_outcome_display() if attempt.outcome else Status.RUNNING.label
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


@register.simple_tag
def attempt_time(attempt: Attempt) -> SafeString:
    """How long an attempt took, ticking while it runs."""
    end = attempt.ended_at or timezone.now()
    seconds = max(0.0, (end - attempt.started_at).total_seconds())
    return ticking(seconds, None if attempt.ended_at else attempt.started_at)


@register.filter
def steps(job: Job) -> str:
    """'1,200 / 2,000', or what is known of it."""
    if not job.total_steps:
        return wording.number(job.current_step) if job.current_step else wording.NOTHING
    return f"{job.current_step:,} / {job.total_steps:,}"


@register.filter
def elapsed(job: Job) -> float:
    return job.elapsed_seconds()


@register.filter
def day_and_time(moment: datetime) -> str:
    """A time in the zone that it carries: Mon 2 March 2026, 02:30 CET."""
    return wording.day_and_time(moment)


@register.filter
def stands_in(name: str, text: str | None) -> bool:
    """Whether a name is one of the lines of a text."""
    return name in lines(text or "")

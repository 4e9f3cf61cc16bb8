"""What templates say about the quality of datasets."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django import template
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

from common.errors import NotFoundError
from common.files import store
from common.icons import svg
from datasets import formats
from datasets.items.rows import plain_text
from datasets.models import Dataset, Finding, Item, QualityRun
from datasets.quality import acts, score
from datasets.quality.codes import Check

register = template.Library()

ITEM = re.compile(r"\bitem (\d{1,18})\b")
SHOWN = 600  # characters of a text
RUN_LOOKS = {
    QualityRun.Status.QUEUED: ("azure", "list"),
    QualityRun.Status.RUNNING: ("blue", "hourglass"),
    QualityRun.Status.COMPLETED: ("green", "check"),
    QualityRun.Status.FAILED: ("red", "alert-triangle"),
}
LOOKS = {"Good": ("green", "check"), "Fair": ("yellow", "info"), "Poor": ("red", "alert-triangle")}


@dataclass(frozen=True)
class Button:
    """Something that can be done about everything that a check found."""

    action: str
    label: str
    keep: str = acts.BEST
    style: str = "btn-plain"


@register.simple_tag
def quality_badge(dataset: Dataset) -> SafeString:
    """The score of a dataset; nothing before its first check."""
    if dataset.quality is None:
        return SafeString("")
    colour, icon = LOOKS[score.in_words(dataset.quality)]
    return format_html(
        '<span class="state state-{}" title="Of 100" data-testid="quality-badge">{}<span>Quality {}</span></span>',
        colour, svg(icon), f"{dataset.quality:.0f}",
    )  # fmt: skip


@register.simple_tag
def run_badge(run: QualityRun) -> SafeString:
    colour, icon = RUN_LOOKS[QualityRun.Status(run.status)]
    word = run.get_status_display()
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


@register.filter
def points(value: float) -> str:
    """As a small number: 12.3, or 'under 0.1'."""
    return "under 0.1" if 0 < value < 0.1 else f"{value:.1f}"


@register.filter
def actions(check: Check) -> list[Button]:
    """What the page offers to do about a kind of finding."""
    if check.code in acts.SINGLED:
        aside = [Button("set_aside", "Keep the best"), Button("set_aside", "Keep the first", acts.FIRST)]
    else:
        aside = [Button("set_aside", "Set all aside")]
    return [*aside, Button("dismiss", "Dismiss all", style="btn-ghost")]


@register.simple_tag
def reason_of(finding: Finding) -> SafeString:
    """Why an item has a finding; another item that it speaks of has its name there, and a link."""
    parts = ITEM.split(finding.reason)
    items = dict(Item.objects.filter(dataset=finding.dataset_id, pk__in=parts[1::2]).values_list("pk", "name"))
    told = [_named(finding, part, items) if place % 2 else escape(part) for place, part in enumerate(parts)]
    return SafeString("".join(told))


def _named(finding: Finding, number: str, items: dict[int, str]) -> str:
    if (name := items.get(int(number))) is None:
        return f"item {number}"
    address = reverse("dataset-item", args=[finding.dataset_id, number])
    return format_html('<a class="inline-link" href="{}">{}</a>', address, name.rsplit("/", 1)[-1])


@register.simple_tag
def said(item: Item) -> str:
    """The beginning of what a row or text says; empty when its file is missing."""
    if item.content is not None:
        text = plain_text(item.content)
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    try:
        with store().open(item.sha256) as file:
            return formats.text_start(file)[:SHOWN]
    except NotFoundError:
        return ""

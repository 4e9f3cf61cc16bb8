"""What templates say about datasets and imports."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import wording
from common.errors import NotFoundError
from common.files import store
from common.icons import svg
from datasets import fitting, formats, reasons
from datasets.gating.gates import REASONS
from datasets.items import previews
from datasets.models import Dataset, Edit, Import, Item
from datasets.tabs import tabs_of

register = template.Library()

DATASET_LOOKS = {
    Dataset.Status.EMPTY: ("grey", "circle"),
    Dataset.Status.PROCESSING: ("blue", "hourglass"),
    Dataset.Status.ACTIVE: ("green", "check"),
    Dataset.Status.FAILED: ("red", "alert-triangle"),
}
IMPORT_LOOKS = {
    Import.Status.QUEUED: ("azure", "list"),
    Import.Status.RUNNING: ("blue", "hourglass"),
    Import.Status.COMPLETED: ("green", "check"),
    Import.Status.FAILED: ("red", "alert-triangle"),
    Import.Status.CANCELLED: ("grey", "x"),
}


@register.simple_tag
def dataset_badge(dataset: Dataset) -> SafeString:
    return _badge(DATASET_LOOKS[Dataset.Status(dataset.status)], dataset.get_status_display(), "dataset-status")


@register.simple_tag
def import_badge(source: Import) -> SafeString:
    return _badge(IMPORT_LOOKS[Import.Status(source.status)], source.get_status_display(), "import-status")


def _badge(look: tuple[str, str], word: str, test_id: str) -> SafeString:
    colour, icon = look
    return format_html(
        '<span class="state state-{}" data-testid="{}">{}<span>{}</span></span>', colour, test_id, svg(icon), word
    )


@register.inclusion_tag("datasets/_tabs.html")
def dataset_tabs(dataset: Dataset, current: str) -> dict[str, object]:
    """Links to the pages of a dataset; `current` is the name of this one's address."""
    return {"dataset": dataset, "tabs": tabs_of(dataset), "current": current}


@register.filter
def has_recipe(dataset: Dataset) -> bool:
    """Whether some recipe trains on this kind of data."""
    return dataset.modality in fitting.trained_on()


@register.filter
def reason(code: str) -> str:
    """Why an item was left out, in words."""
    return REASONS.get(code, code)


@register.filter
def basename(path: str) -> str:
    """The last part of a relative path."""
    return path.rsplit("/", 1)[-1]


@register.simple_tag
def text_start(item: Item) -> str:
    """The beginning of a text; empty when its file is missing from the store."""
    try:
        with store().open(item.sha256) as file:
            return formats.text_start(file)
    except NotFoundError:
        return ""


@register.simple_tag
def item_address(item: Item) -> str:
    """Where the API has the item."""
    return reverse("api-item", args=[item.dataset_id, item.pk])


@register.filter
def has_preview(item: Item) -> bool:
    """Whether its small picture can be sent at once."""
    return previews.ready(item)


@register.filter
def is_inline(item: Item) -> bool:
    """Whether browsers show or play this kind of file by themselves."""
    return item.media_type in formats.INLINE


@register.filter
def is_row(item: Item) -> bool:
    return item.media_type == formats.ROW


@register.filter
def aside(code: str) -> str:
    """Why an item was set aside, in words."""
    return reasons.aside(code)


@register.filter
def told(edit: Edit) -> str:
    """An edit as a sentence: '3 items: class 'cats''."""
    items = f"{edit.count:,} item{'s' * (edit.count != 1)}"
    return f"{items} {change(edit)}" if edit.field == "aside" else f"{items}: {change(edit)}"


@register.filter
def change(edit: Edit) -> str:
    """What an edit did to its items: 'class 'cats'', 'set aside'."""
    if edit.field == "aside":
        return "set aside" if edit.value else "taken back"
    word = reasons.FIELD_WORDS[edit.field].lower()
    if isinstance(edit.value, str) and edit.field != "content":
        return f"{word} '{edit.value[:60]}'" if edit.value else f"{word} taken away"
    return f"{word} changed"


@register.filter
def turns(content: dict[str, Any]) -> list[dict[str, str]]:
    """What a row says, part by part: role, title, text, and the name of its field in a form."""
    if "messages" in content:
        return [
            {"role": one["role"], "title": one["role"].capitalize(), "text": one["content"], "field": "said"}
            for one in content["messages"]
        ]
    keys = [key for key in ("system", "prompt", "completion", "text") if key in content]
    return [{"role": key, "title": key.capitalize(), "text": content[key], "field": key} for key in keys]


@register.filter
def facts(item: Item) -> list[tuple[str, str]]:
    """What was measured, as names and figures."""
    long = {"head", "profile", "columns", "parquet"}
    found = []
    for name, value in item.facts.items():
        if name == "seconds":
            found.append(("length", wording.duration(value)))
        elif isinstance(value, bool):
            found.append((name, "yes" if value else "no"))
        elif name not in long and isinstance(value, str | int | float):
            found.append((name, wording.number(value)))
    return found


@register.filter
def figure(value: Any) -> str:
    """A number as short as it says something; other values as they are."""
    return wording.number(value) if isinstance(value, int | float) or value is None else str(value)

"""What templates say about datasets and imports."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.errors import NotFoundError
from common.files import store
from common.icons import svg
from datasets import formats
from datasets.gates import REASONS
from datasets.models import Dataset, Import, Item
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

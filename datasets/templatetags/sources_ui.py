"""What templates say about the ways into a dataset: what may be dropped, how to read it, how fast it comes."""

from __future__ import annotations

from typing import Any

from django import template

from datasets.intake import again, pace
from datasets.intake.options import DELIMITERS
from datasets.models import Dataset, Import, Modality
from datasets.sources import origins, roots

register = template.Library()

# What may be dropped, and what else there is to know.
WHAT = {
    Modality.IMAGE: ("images", "The folder that an image lies in is its class."),
    Modality.TEXT: ("texts", "Plain text or Markdown, one item a file; CSV, TSV or JSON lines, one item a row."),
    Modality.AUDIO: ("recordings", "The folder that a recording lies in is its class."),
    Modality.VIDEO: ("videos", "The folder that a video lies in is its class."),
    Modality.TABLE: ("tables", "CSV, TSV, JSON lines, Parquet or Excel; the types of columns are found out."),
}
COLUMNS = {
    Modality.TEXT: [("text_column", "The text stands in"), ("label_column", "The class stands in"),
                    ("group_column", "What belongs together stands in")],
    Modality.TABLE: [("label_column", "The class or value to learn stands in"),
                     ("group_column", "What belongs together stands in"), ("time_column", "The time stands in")],
}  # fmt: skip


@register.simple_tag
def reading_of(dataset: Dataset) -> dict[str, Any]:
    """For the forms that take files."""
    what, how = WHAT[Modality(dataset.modality)]
    delimiters = [(value, name.capitalize()) for name, value in DELIMITERS.items()]
    columns = COLUMNS.get(Modality(dataset.modality), [])
    typed = dataset.modality == Modality.TABLE
    named = dataset.modality in {Modality.IMAGE, Modality.AUDIO, Modality.VIDEO}
    return {
        "what": what, "how": how, "columns": columns, "delimiters": delimiters, "typed": typed, "named": named,
        "rows": dataset.modality == Modality.TEXT,
    }  # fmt: skip


@register.simple_tag
def import_roots() -> list[str]:
    """Folders of the server that may be imported from."""
    return [str(root) for root in roots.allowed()]


@register.filter
def correctable(source: Import, dataset: Dataset) -> bool:
    return again.can_be_corrected(source, dataset)


@register.filter
def pairs(types: Any) -> str:
    """Types of columns as the form takes them."""
    return ", ".join(f"{name}={kind}" for name, kind in types.items()) if isinstance(types, dict) else ""


@register.filter
def pace_words(source: Import) -> str:
    return pace.in_words(source)


@register.filter
def pace_percent(source: Import) -> int:
    return pace.percent(source)


@register.filter
def origin_words(source: Import) -> str:
    return origins.shown(source.origin)


@register.filter
def entry(values: Any, name: str) -> Any:
    """One value of a dictionary; empty without one."""
    return values.get(name, "") if isinstance(values, dict) else ""

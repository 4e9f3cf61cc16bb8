"""The columns of a dataset of tables: offered where a setting names one, and looked up when a job is made.

A name that is none of them is refused there, and not when the job has started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, Literal

from common.errors import InvalidInputError
from datasets.freezing import membership
from datasets.models import Dataset, DatasetVersion, Item, Modality
from engine import catalogue

LOOKED_AT = 200  # files; a run refuses those whose columns differ
LISTED = 30  # names in a message
KINDS = {
    "whole": "whole numbers", "number": "numbers", "yes_no": "yes or no", "date": "dates", "text": "texts",
    "category": "categories",
}  # fmt: skip
# How a setting names columns: one, a list of them, or a text with commas between several.
Naming = Literal["one", "list", "commas"]
ALL = "all"  # of names with commas between them


@dataclass(frozen=True)
class Column:
    """A column by its name, and what it holds, in words."""

    name: str
    kind: str


def of(dataset: Dataset | None, version: DatasetVersion | None = None) -> list[Column]:
    """The columns of the tables, in their order; none where they are not known."""
    dataset = version.dataset if version else dataset
    if dataset is None or dataset.modality != Modality.TABLE:
        return []
    items = Item.objects.filter(dataset=dataset)
    if version:
        items = items.filter(pk__in=list(islice(membership.ids(version), LOOKED_AT)))
    found: dict[str, Column] = {}
    for columns in items.order_by("id").values_list("facts__columns", flat=True)[:LOOKED_AT]:
        for column in columns if isinstance(columns, list) else []:
            name, kind = str(column.get("name", "")), str(column.get("type", ""))
            found.setdefault(name, Column(name, KINDS.get(kind, kind)))
    return list(found.values())


def named(recipe: str) -> dict[str, Naming]:
    """The settings of a recipe that name columns, and how."""
    known = catalogue.config_class(recipe).model_json_schema()["properties"]
    return {name: schema["columns"] for name, schema in known.items() if "columns" in schema}


def check(
    recipe: str, config: Mapping[str, Any], dataset: Dataset | None, version: DatasetVersion | None = None
) -> None:
    """InvalidInputError, naming the columns that exist, when a setting names one that does not."""
    settings = named(recipe)
    known = [column.name for column in of(dataset, version)] if settings else []
    if not known:
        return
    data = (version.dataset if version else dataset).name  # type: ignore[union-attr]
    wrong = {
        f"config.{setting}": [_told(name, data, known)]
        for setting, how in settings.items()
        for name in reversed(list(_unknown(how, config.get(setting), known)))
    }
    if wrong:
        name, texts = next(iter(wrong.items()))
        message = f"{name.removeprefix('config.')}: {texts[0]}"
        raise InvalidInputError(message, "Correct the marked settings.", fields=wrong)


def _unknown(how: Naming, value: Any, known: list[str]) -> Iterator[str]:
    """The names that are no columns; 'auto' and nothing at all name none."""
    if isinstance(value, list):
        names = [str(name) for name in value]
    elif not isinstance(value, str) or value in ("", "auto", *known) or (how == "commas" and value == ALL):
        names = []
    else:
        names = [name.strip() for name in value.split(",")] if how == "commas" else [value]
    return (name for name in names if name not in known)


def _told(name: str, data: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1) or [other for other in known if other.lower() == name.strip().lower()]
    meant = f" Did you mean '{near[0]}'?" if near else ""
    more = f" and {len(known) - LISTED:,} more" if len(known) > LISTED else ""
    return f"'{data}' has no column '{name[:100]}'.{meant} It has: {', '.join(known[:LISTED])}{more}."

"""Changing what a row says: its address, size and length change with it."""

from __future__ import annotations

from typing import Any

from django.db.models import F, JSONField, Value

from common.errors import ConflictError
from datasets.items import rows
from datasets.models import Dataset, Edit, Item


def write(dataset: Dataset, item: Item, content: dict[str, Any]) -> None:
    """Give a row another content. The dataset is locked. ConflictError when a row of this content is there already."""
    address = rows.address(content)
    if twin := dataset.items.filter(sha256=address).exclude(pk=item.pk).first():
        raise ConflictError(
            f"'{twin.name}' says just the same already.", "Set this one aside instead, or write something else."
        )
    size = len(rows.canonical(content))
    Item.objects.filter(pk=item.pk).update(
        content=content, sha256=address, bytes=size, characters=len(rows.plain_text(content)),
        facts=Value(item.facts | {"words": rows.words(content)}, JSONField()),
    )  # fmt: skip
    Dataset.objects.filter(pk=dataset.pk).update(byte_count=F("byte_count") + size - item.bytes)


def restore(edit: Edit) -> tuple[Item, str] | None:
    """Give the edit's row its former content back; the item and the reason when it is left as it is."""
    was = edit.items.select_related("item").first()
    if was is None:
        raise ConflictError("There is nothing to undo: the item is gone.", "Import it again.")
    if was.item.content != edit.value:
        return was.item, "Its content was changed again since."
    try:
        write(edit.dataset, was.item, was.before)
    except ConflictError as error:
        return was.item, error.message
    return None

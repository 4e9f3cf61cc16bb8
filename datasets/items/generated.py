"""Items that a model wrote: pairs with who wrote them, by which prompt, and what a judge thought of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from common.errors import NotFoundError
from common.push import publish
from datasets.formats.facts import ROW
from datasets.gating import governance
from datasets.items import rows
from datasets.models import Dataset, Item
from datasets.quality import runs

CHUNK = 500


@dataclass(frozen=True)
class Written:
    """One text that is to become an item."""

    key: Any  # whatever the caller knows it by
    name: str
    prompt: str
    completion: str
    label: str = ""
    facts: dict[str, Any] = field(default_factory=dict)  # for `Item.generated`


@transaction.atomic
def add(dataset_id: int, written: Sequence[Written]) -> dict[Any, int]:
    """Make pairs of these; the items by the callers' keys. A pair that the dataset has already is that item.

    They pass the same gates as all items: reviews, rules and the checks of quality begin with them. NotFoundError when
    the dataset is not there any more.
    """
    dataset = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset_id).first()
    if dataset is None:
        raise NotFoundError("The dataset for these texts is not there any more.", "Choose another one.")
    places: dict[Any, int] = {}
    count = size = 0
    for start in range(0, len(written), CHUNK):
        made = _chunk(dataset, written[start : start + CHUNK], places)
        count += len(made)
        size += sum(item.bytes for item in made)
    if count:
        _grow(dataset, count, size)
    return places


def _chunk(dataset: Dataset, written: Sequence[Written], places: dict[Any, int]) -> list[Item]:
    contents = [{"prompt": one.prompt, "completion": one.completion} for one in written]
    addresses = [rows.address(content) for content in contents]
    known = dict(Item.objects.filter(dataset=dataset, sha256__in=addresses).values_list("sha256", "pk"))
    fresh = {
        address: _item(dataset, one, address, content)
        for one, address, content in zip(written, addresses, contents, strict=True)
        if address not in known
    }
    Item.objects.bulk_create(fresh.values())
    known |= {address: item.pk for address, item in fresh.items()}
    places.update({one.key: known[address] for one, address in zip(written, addresses, strict=True)})
    return list(fresh.values())


def _item(dataset: Dataset, one: Written, address: str, content: dict[str, Any]) -> Item:
    return Item(
        dataset=dataset, sha256=address, name=one.name[-500:], label=one.label[:200], content=content, media_type=ROW,
        bytes=len(rows.canonical(content)), characters=len(rows.plain_text(content)),
        facts={"words": rows.words(content)}, generated=one.facts, subject_id=dataset.subject_id,
    )  # fmt: skip


def _grow(dataset: Dataset, count: int, size: int) -> None:
    importing = dataset.imports.filter(finished_at=None).exists()
    Dataset.objects.filter(pk=dataset.pk).update(
        item_count=F("item_count") + count,
        byte_count=F("byte_count") + size,
        status=dataset.status if importing else Dataset.Status.ACTIVE,
        updated_at=Now(),
    )
    governance.ask(Dataset.objects.filter(pk=dataset.pk))
    dataset.refresh_from_db()
    if not importing:
        runs.after_import(dataset)
    publish(f"dataset.{dataset.pk}")

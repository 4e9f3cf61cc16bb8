"""Items that a model wrote: pairs with who wrote them, by which prompt, and what a judge thought of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
def add(dataset_id: int, batches: Iterable[Sequence[Written]], note: Callable[[dict[Any, int]], None]) -> None:
    """Make pairs of these, a batch at a time; `note` is told the items of each batch, by the caller's keys. A pair that
    the dataset has already is that item.

    They pass the same gates as all items: reviews, rules and the checks of quality begin with them. NotFoundError when
    the dataset is not there any more.
    """
    dataset = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset_id).first()
    if dataset is None:
        raise NotFoundError("The dataset for these texts is not there any more.", "Choose another one.")
    count = size = 0
    for batch in batches:
        made, places = _made(dataset, batch)
        count += len(made)
        size += sum(item.bytes for item in made)
        note(places)
    if count:
        _grow(dataset, count, size)


def _made(dataset: Dataset, written: Sequence[Written]) -> tuple[list[Item], dict[Any, int]]:
    """The items that are new, and where each of the texts is now."""
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
    return list(fresh.values()), {one.key: known[address] for one, address in zip(written, addresses, strict=True)}


def _item(dataset: Dataset, one: Written, address: str, content: dict[str, Any]) -> Item:
    return Item(
        dataset=dataset, sha256=address, name=one.name[-500:], label=one.label[:200], content=content, media_type=ROW,
        bytes=len(rows.canonical(content)), characters=len(rows.plain_text(content)),
        facts={"words": rows.words(content)}, generated=one.facts, subject_id=dataset.subject_id,
    )  # fmt: skip


def _grow(dataset: Dataset, count: int, size: int) -> None:
    # While something else fills it, that sets the status and begins the checks at its end.
    busy = dataset.status == Dataset.Status.PROCESSING
    Dataset.objects.filter(pk=dataset.pk).update(
        item_count=F("item_count") + count,
        byte_count=F("byte_count") + size,
        status=Dataset.Status.PROCESSING if busy else Dataset.Status.ACTIVE,
        updated_at=Now(),
    )
    governance.ask(Dataset.objects.filter(pk=dataset.pk))
    dataset.refresh_from_db()
    if not busy:
        runs.after_import(dataset)
    publish(f"dataset.{dataset.pk}")

"""What is measured of one item's content, once, and kept: a fingerprint by content, kind and version of the code."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef
from django.db.models.fields.json import KeyTextTransform

from common.errors import NotFoundError
from common.files import store
from datasets.models import Fingerprint, Item, Modality
from datasets.quality import films, images, sheets, sounds, texts

MEASURES: dict[str, Any] = {
    Modality.TEXT: texts, Modality.IMAGE: images, Modality.AUDIO: sounds, Modality.VIDEO: films, Modality.TABLE: sheets,
}  # fmt: skip


@dataclass
class Print:
    """Facts for judging one item alone, and bytes for comparing it with others."""

    facts: dict[str, Any] = field(default_factory=dict)
    value: bytes = b""


def address(item: Item) -> str:
    """What the fingerprint of an item is kept under: a table's is of its columnar copy, which options change."""
    return item.facts.get("parquet") or item.sha256


def of(items: Iterable[Item], kind: str, beat: Callable[[], None]) -> dict[int, Print]:
    """The fingerprint of each item, by its id; those that are not known yet are computed and kept."""
    items = list(items)
    found = known(items, kind)
    fresh: dict[str, Fingerprint] = {}
    for item in items:
        beat()
        if problem := _gone(item):
            found[item.pk] = Print({"unreadable": problem})
        elif item.pk not in found:
            measured = _measure(item, kind, beat)
            found[item.pk] = measured
            if not measured.facts.get("passing"):
                fresh[address(item)] = Fingerprint(
                    sha256=address(item), kind=kind, version=MEASURES[kind].VERSION,
                    facts=measured.facts, value=measured.value,
                )  # fmt: skip
    Fingerprint.objects.bulk_create(fresh.values(), ignore_conflicts=True)
    return found


def known(items: Iterable[Item], kind: str) -> dict[int, Print]:
    """Fingerprints that were kept, by item; nothing is computed."""
    wanted = {address(item): item for item in items}
    rows = Fingerprint.objects.filter(sha256__in=wanted, kind=kind, version=MEASURES[kind].VERSION)
    kept = {row.sha256: Print(row.facts, bytes(row.value)) for row in rows}
    return {item.pk: kept[address(item)] for item in items if address(item) in kept}


def forget_unused() -> int:
    """Delete the fingerprints of content that no item has any more. Returns how many."""
    copies = Item.objects.filter(facts__has_key="parquet").annotate(copy=KeyTextTransform("parquet", "facts"))
    used = Exists(Item.objects.filter(sha256=OuterRef("sha256"))) | Exists(copies.filter(copy=OuterRef("sha256")))
    return Fingerprint.objects.exclude(used).delete()[0]


def _measure(item: Item, kind: str, beat: Callable[[], None]) -> Print:
    """What the module of this kind says of the item; what it can't decode is unreadable, not an error of the run."""
    try:
        facts, value = MEASURES[kind].measure(item, beat)
    except NotFoundError:
        return Print({"unreadable": "Its file is missing from the store.", "passing": True})
    except (MemoryError, *MEASURES[kind].UNREADABLE) as error:
        return Print({"unreadable": f"It can't be decoded ({type(error).__name__})."})
    return Print(facts, value)


def _gone(item: Item) -> str:
    """Why the file can't be read as it was imported, seen from its name and size; '' when it can, and for rows."""
    if item.content is not None:
        return ""
    try:
        size = store().path(item.sha256).stat().st_size
    except OSError:
        return "Its file is missing from the store."
    return "" if size == item.bytes else "Its file is not as long as it was when it was imported."

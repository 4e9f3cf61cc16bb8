"""How much there is to learn from: items, or the rows of tables, whose files say nothing of that."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

from common.errors import NotFoundError
from datasets.freezing import manifests
from datasets.gating import gates
from datasets.models import DatasetVersion, Item, Modality

KEPT = 2000  # versions whose rows are remembered


def of_version(version: DatasetVersion) -> int | None:
    """Items of the training part, or all rows of tables, which recipes divide themselves; None when not known."""
    return of_frozen(version.dataset.modality, version.counts, version.content_hash)


def of_frozen(modality: str | None, counts: Mapping[str, int] | None, content_hash: str) -> int | None:
    """The same of a version's columns."""
    if modality != Modality.TABLE:
        return (counts or {}).get("train")
    try:
        return _rows(content_hash)
    except NotFoundError:
        return None


def rows_of(keys: Collection[int]) -> dict[int, int]:
    """Rows that versions of these datasets of tables would hold now; one query."""
    found: dict[int, int] = dict.fromkeys(keys, 0)
    items = Item.objects.filter(gates.PASSED, dataset__in=list(keys))
    for key, rows, aside in items.values_list("dataset", "facts__rows", "facts__aside_rows").iterator():
        found[key] += _kept(rows, aside)
    return found


@lru_cache(KEPT)
def _rows(content_hash: str) -> int:
    """A manifest never changes, as its address is its content."""
    lines = manifests.entries(content_hash)
    return sum(_kept(line.get("facts", {}).get("rows"), line.get("aside_rows")) for line in lines)


def _kept(rows: int | None, aside: Sequence[Sequence[int]] | None) -> int:
    return max(0, int(rows or 0) - sum(after - first for first, after in aside or []))

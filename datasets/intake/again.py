"""Reading a table's file once more, with corrections, where the first guess of how to read it was wrong."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from common.background import enqueue
from common.errors import ConflictError
from datasets.intake import imports, spool
from datasets.models import Dataset, Import, Item, Modality


def import_again(source: Import, by: AbstractBaseUser, options: dict[str, Any]) -> Import:
    """A new import of the files that `source` brought, read by `options` alone; returns it, waiting.

    Items keep their names, labels and places; what was found in them is found anew, and versions that were frozen
    before keep what they had. ConflictError when the import has not ended or its files are not kept as they came.
    """
    if source.finished_at is None:
        raise ConflictError("The import has not ended yet.", "Wait until it has, then correct it.")
    if source.dataset.modality != Modality.TABLE:
        raise ConflictError(
            "Only tables can be read again: other files were taken apart when they came.",
            "Remove the wrong items, then send the files again and say how to read them.",
        )
    items = _items(source)
    if not items:
        raise ConflictError("The import brought no table that is still here.", "Send the files again.")
    pack = spool.Pack()  # empty: the files are read where they lie, in the store

    def hand_over(import_id: int) -> list[dict[str, Any]]:
        path = pack.hand_over(import_id)
        sources, before = [], 0
        for sha256, name, size in items:
            sources.append(
                {"name": name, "path": path, "offset": 0, "bytes": size, "before": before, "stored": sha256}
            )  # fmt: skip
            before += size
        return sources

    origin = {"kind": "items", "import": source.pk, "fetched": timezone.now().isoformat()}
    try:
        made = imports.begin(source.dataset, by, hand_over, options=options, origin=origin)
    finally:
        pack.close()
    enqueue(imports.TASK, made.pk)
    return made


def can_be_corrected(source: Import, dataset: Dataset) -> bool:
    """Whether a page should offer it; cheap."""
    return dataset.modality == Modality.TABLE and source.finished_at is not None and source.accepted > 0


def _items(source: Import) -> list[tuple[str, str, int]]:
    """Address, name and size of the items that came by this import, or were read again by it."""
    first = source.origin.get("import", source.pk) if source.is_again else source.pk
    return list(Item.objects.filter(source=first).order_by("pk").values_list("sha256", "name", "bytes"))

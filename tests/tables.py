"""Datasets of tables, made without an import: files with their columnar copies in the store."""

from __future__ import annotations

import io
from typing import Any

from common.files import store
from datasets.models import Dataset, Item


def columnar(columns: dict[str, list[Any]], group: int = 50_000) -> bytes:
    """The columns as Parquet."""
    import pyarrow
    import pyarrow.parquet as parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), out, row_group_size=group, compression="zstd")
    return out.getvalue()


def make_table(
    owner: Any, name: str = "Machines", files: list[dict[str, list[Any]]] | None = None, **more: Any
) -> Dataset:
    """A dataset of tables; each file is a dictionary of columns."""
    files = files or [MACHINES]
    dataset = Dataset.objects.create(owner=owner, name=name, modality="table", status="empty", **more)
    for number, columns in enumerate(files):
        rows = len(next(iter(columns.values())))
        stored = store().add(columnar(columns, group=7 if rows < 50 else 50_000))
        kinds = [{"name": column, "type": type(cells[0]).__name__} for column, cells in columns.items()]
        facts = {"parquet": stored.sha256, "rows": rows, "columns": kinds}
        Item.objects.create(
            dataset=dataset, sha256=store().add(f"{name} {number}".encode()).sha256, name=f"table-{number}.csv",
            media_type="text/csv", bytes=10, facts=facts,
        )  # fmt: skip
    dataset.status, dataset.item_count = "active", len(files)
    dataset.save()
    return dataset


MACHINES: dict[str, list[Any]] = {
    "id": list(range(1, 21)),
    "Type": ["L", "M", "H", "L"] * 5,
    "Air temperature [K]": [298.0 + n / 10 for n in range(20)],
    "Machine failure": [0, 0, 0, 1] * 5,
    "note": [None if n % 10 == 9 else f"note {n}" for n in range(20)],
}

"""CSV files of real data as frozen versions of tables."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from engine.protocol import DataSpec


def read(path: Path) -> pa.Table:
    """A CSV file with typed columns."""
    return pyarrow.csv.read_csv(path)


def version(root: Path, tables: Sequence[tuple[str, str, pa.Table]], aside: Sequence[Sequence[int]] = ()) -> DataSpec:
    """A version of (name, part, rows); the rows `aside` of each are left out."""
    store = root / "store"
    lines: list[dict[str, Any]] = [{"modality": "table", "classes": [], "counts": {}, "content_hash": root.name}]
    for name, part, table in tables:
        file = io.BytesIO()
        pyarrow.parquet.write_table(table, file)
        digest = hashlib.sha256(file.getvalue()).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(file.getvalue())
        facts = {"parquet": digest, "rows": table.num_rows}
        size = len(file.getvalue())
        line = {"id": name, "sha256": digest, "name": name, "label": None, "split": part, "bytes": size}
        lines.append(line | {"facts": facts, "aside_rows": [list(part) for part in aside]})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataSpec(manifest=manifest, store=store)

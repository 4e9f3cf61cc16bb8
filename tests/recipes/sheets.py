"""Small tables as frozen versions, for the recipes that learn from rows."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.catalogue import load, recipe
from engine.protocol import DataSpec, Exit, Spec
from tests.engine.cast import carry_out, spec

Columns = Mapping[str, Any]


def sheet_data(root: Path, *tables: Columns | tuple[str, Columns], aside: Sequence[Sequence[int]] = ()) -> DataSpec:
    """A version of these tables: columns, or (part, columns)."""
    store = root / "store"
    lines: list[dict[str, Any]] = [{"modality": "table", "classes": [], "counts": {}, "content_hash": "c"}]
    for number, table in enumerate(tables):
        part, columns = table if isinstance(table, tuple) else ("train", table)
        file = io.BytesIO()
        pq.write_table(pa.table(dict(columns)), file)
        digest = hashlib.sha256(file.getvalue()).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(file.getvalue())
        name = f"{number}.csv"
        line = {"id": name, "sha256": digest, "name": name, "label": None, "split": part, "bytes": len(digest)}
        lines.append(line | {"facts": {"parquet": digest}, "aside_rows": list(aside)})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataSpec(manifest=manifest, store=store)


def trained(
    root: Path, name: str, config: dict[str, Any], *tables: Any, **more: Any
) -> tuple[Spec, dict[str, Any], str]:
    """The spec of a completed run, its last metrics, and all that its log says."""
    given = spec(root, name, config, data=sheet_data(root, *tables, **more))
    code, sink = carry_out(given)
    assert code is Exit.COMPLETED, sink.events[-1]
    return given, sink.events[-1]["metrics"], "\n".join(e["message"] for e in sink.events if e["event"] == "log")


def failure(root: Path, name: str, config: dict[str, Any], *tables: Any) -> tuple[str, str]:
    """Code and message of a run that ends with an explained failure."""
    code, sink = carry_out(spec(root, name, config, data=sheet_data(root, *tables)))
    last = sink.events[-1]
    assert code is Exit.FAILED and last["hint"] and last["code"] != "CODE_ERROR", last
    return last["code"], last["message"]


def predictor(given: Spec) -> Any:
    return load(recipe(given.recipe).predictor).load(given.work_dir / "artifact", "cpu")

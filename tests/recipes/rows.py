"""Frozen versions of rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.protocol import DataSpec


def each_fifth(number: int) -> str:
    return "train" if number % 5 else "validation"


def rows_data(
    root: Path,
    contents: list[dict[str, Any]],
    labels: list[str] | None = None,
    split: Callable[[int], str] = each_fifth,
) -> DataSpec:
    """Rows of these contents, with a label each where labels are given."""
    lines: list[dict[str, Any]] = [
        {"modality": "text", "classes": sorted(set(labels or [])), "counts": {}, "content_hash": "c"}
    ]
    for number, content in enumerate(contents):
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        digest = hashlib.sha256(canonical).hexdigest()
        facts = {"sha256": digest, "name": f"rows.jsonl:{number}", "label": labels[number] if labels else None}
        lines.append({"id": str(number), **facts, "split": split(number), "bytes": len(canonical), "content": content})
    root.mkdir(parents=True, exist_ok=True)
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataSpec(manifest=manifest, store=root / "store")

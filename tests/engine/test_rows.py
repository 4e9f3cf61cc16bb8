"""Rows are trained on as documents are: pairs as prompt and completion on lines of their own."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from engine.data import Dataset, open_dataset, text_of
from engine.protocol import DataSpec, EngineError, Exit
from tests.engine.cast import carry_out, text_spec


def rows_data(root: Path, contents: list[dict[str, Any]], files: dict[str, bytes] | None = None) -> DataSpec:
    """A frozen version of rows and documents."""
    store = root / "store"
    lines: list[dict[str, Any]] = [{"modality": "text", "classes": [], "counts": {}, "content_hash": "c"}]
    for number, content in enumerate(contents):
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        split = "train" if number % 5 else "validation"
        digest = hashlib.sha256(canonical).hexdigest()
        facts = {"sha256": digest, "name": f"rows.jsonl:{number}", "label": None, "split": split}
        lines.append({"id": str(number), **facts, "bytes": len(canonical), "content": content, "group": "g"})
    for name, data in (files or {}).items():
        digest = hashlib.sha256(data).hexdigest()
        (store / digest[:2]).mkdir(parents=True, exist_ok=True)
        (store / digest[:2] / digest).write_bytes(data)
        facts = {"sha256": digest, "name": name, "label": None, "split": "train", "bytes": len(data)}
        lines.append({"id": name, **facts})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return DataSpec(manifest=manifest, store=store)


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"prompt": f"What is {n} + {n}?", "completion": f"It is {n + n}."} for n in range(count)]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"text": "A story."}, "A story."),
        ({"prompt": "1+1?", "completion": "2"}, "1+1?\n2"),
        ({"system": "Be brief.", "prompt": "1+1?", "completion": "2"}, "Be brief.\n1+1?\n2"),
        ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}, "Hi\nHello"),
    ],
)
def test_a_row_as_text(content, text):
    assert text_of(content) == text


def test_rows_and_documents_are_read_alike(tmp_path):
    dataset = open_dataset(rows_data(tmp_path, pairs(2), {"a.txt": b"A document."}), "text")
    assert [dataset.text(item) for item in dataset.items] == [
        "What is 0 + 0?\nIt is 0.", "What is 1 + 1?\nIt is 2.", "A document.",
    ]  # fmt: skip
    assert dataset.items[0].group == "g" and dataset.items[2].content is None


def test_text_generation_trains_on_rows(tmp_path):
    code, sink = carry_out(text_spec(tmp_path, data=rows_data(tmp_path, pairs(300)), config={"steps": 60}))
    assert code is Exit.COMPLETED
    assert sink.events[-1]["metrics"]["validation/loss"] < 2.7  # guessing among its 22 characters: 3.1


def test_the_columns_of_a_table_are_checked_before_they_are_read(tmp_path):
    data = rows_data(tmp_path, [], {"t.parquet": b"columns"})
    item = open_dataset(data, "text").items[0]
    table = Dataset("table", [], None, [], data.store)
    with_columns = type(item)(**{**item.__dict__, "facts": {"parquet": item.sha256}})
    assert table.parquet(with_columns).read_bytes() == b"columns"
    table.parquet(with_columns).write_bytes(b"other")
    with pytest.raises(EngineError) as caught:
        table.parquet(with_columns)
    assert "damaged" in caught.value.message
    with pytest.raises(EngineError):
        table.parquet(item)

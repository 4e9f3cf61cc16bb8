"""The rows of a table that someone hands over to a model: JSON, CSV or Parquet, told by how the bytes begin.

Read in the model's own process, so that whatever strangers' bytes do to a decoder stays there.
"""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Any

from engine.protocol import EngineError, FailureCode

MAX_ROWS = 200_000
MAX_CELL = 1 << 20  # letters
DELIMITERS = ",;\t|"
Rows = list[dict[str, Any]]


def rows_of(data: bytes, number: int = 0) -> Rows:
    """[{column: value}, …]. A CSV's values are texts, None where nothing stands. None at all for an empty file or
    list: whether a model can do without is its own matter. EngineError BAD_DATA says what is wrong with input `number`
    (from 0)."""
    if data.strip() in (b"", b"[]"):
        return []
    try:
        if data.startswith(b"PAR1"):
            rows = _parquet(data)
        else:
            text = data.decode("utf-8-sig")
            rows = _json(text) if text.lstrip()[:1] in ("[", "{") else _csv(text)
    except UnicodeDecodeError:
        raise _refused(number, "it is not UTF-8 text and no Parquet file") from None
    except (ValueError, RecursionError, csv.Error) as error:
        raise _refused(number, str(error)) from None
    if not rows:
        raise _refused(number, "it has no rows")
    if len(rows) > MAX_ROWS:
        raise _refused(number, f"it has more than {MAX_ROWS:,} rows")
    return rows


def _json(text: str) -> Rows:
    """A list of objects, one object, or an object a line."""
    try:
        found = json.loads(text, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) < 2:
            raise ValueError(f"it is no JSON: {error}") from None
        found = [_object(line, place) for place, line in enumerate(lines, 1)]
    rows = [found] if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is no list of rows")
    return rows


def _object(line: str, place: int) -> Any:
    try:
        return json.loads(line, parse_constant=lambda _: None)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {place} is no JSON: {error}") from None


def _csv(text: str) -> Rows:
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip() for name in next(reader, [])]
    if not any(names) or len(set(names)) < len(names):
        raise ValueError("its first line does not name each column once")
    rows: Rows = []
    for cells in islice((row for row in reader if row), MAX_ROWS + 1):
        if len(cells) > len(names):
            raise ValueError(f"line {reader.line_num} has {len(cells)} values for {len(names)} columns")
        filled = [*cells, *[""] * (len(names) - len(cells))]
        rows.append({name: value or None for name, value in zip(names, filled, strict=True)})
    return rows


def _parquet(data: bytes) -> Rows:
    import pyarrow.lib
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(io.BytesIO(data)) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise ValueError(f"it has more than {MAX_ROWS:,} rows")
            rows = file.read(use_threads=False).to_pylist()
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise ValueError(f"the Parquet file can't be read: {error}") from None
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """A cell as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    raise ValueError("a column holds neither numbers, dates nor texts")


def _refused(number: int, reason: str) -> EngineError:
    return EngineError(
        FailureCode.BAD_DATA,
        f"Input {number + 1} can't be used: {reason}.",
        "Send a table as CSV with a line of names, as JSON ([{column: value}, …]), or as a Parquet file.",
    )

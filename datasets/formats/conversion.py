"""From a table's file to a typed Parquet file and a profile, in two looks at the file and one at the copy.

Runs in the sandbox. Memory depends on the width of the table, never on its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datasets.formats.columns import TYPES, Guess, converted, format_for, type_of
from datasets.formats.profiles import Column, Series, finish, settle_types
from datasets.formats.sources import Bad, DelimitedSource, Restart, Source, open_source
from datasets.refused import Refused

GROUP_ROWS = 50_000
GROUP_CELLS = 20_000_000  # very wide tables have shorter groups
HEAD_ROWS, HEAD_COLUMNS, HEAD_CHARACTERS = 50, 100, 200


def convert(path: Path, out: str, layout: str, options: dict[str, Any]) -> dict[str, Any]:
    """Write the columnar copy of a table to `out`; returns what the item's facts hold, and bad rows.

    Refused when it is no table, or has no rows.
    """
    pa.set_cpu_count(1)
    source = open_source(path, layout, options)
    try:
        guesses = _look(source)
    except Restart:
        assert isinstance(source, DelimitedSource)
        source.by_rows = True
        guesses = _look(source)
    comma = _decimal_comma(source, guesses, options)
    formats = [_format(guess, options, comma) for guess in guesses]
    bad = Bad()
    columns, series, head = _write(source, guesses, formats, Path(out), options, bad)
    rows = columns[0].rows if columns else 0
    if not rows:
        raise Refused("empty", "It has no rows that can be used.")
    settle_types(columns)
    profile = finish(Path(out), columns, series, options.get("time_column", ""))
    about = source.about | ({"decimal": "comma"} if "comma" in formats else {})
    return {
        "media_type": source.media_type, "rows": rows, "bad_rows": bad.count, "problems": bad.noted,
        "columns": [{"name": column.name, "type": column.type} for column in columns], "profile": profile,
        "head": head, "read_as": about,
    }  # fmt: skip


def _look(source: Source) -> list[Guess | pa.DataType]:
    """First time through: what each column of texts may be. Columns with a type keep it."""
    guesses: list[Guess | pa.DataType] = []
    for batch in source.batches(Bad()):
        if not guesses:
            guesses = [
                Guess(name) if pa.types.is_string(column.type) else column.type
                for name, column in zip(source.names, batch.columns, strict=True)
            ]
        for guess, column in zip(guesses, batch.columns, strict=True):
            if isinstance(guess, Guess):
                guess.add(column)
    if not guesses:
        raise Refused("empty", "It has no rows that can be used.")
    return guesses


def _decimal_comma(source: Source, guesses: list[Guess | pa.DataType], options: dict[str, Any]) -> bool:
    """Whether the table writes 1,5 for one and a half."""
    if "decimal" in options:
        return options["decimal"] == "comma"
    texts = [guess for guess in guesses if isinstance(guess, Guess)]
    if any(guess.fraction_commas for guess in texts):
        return True
    points = any("point" in guess.fits and "comma" not in guess.fits for guess in texts)
    return source.about.get("delimiter") == ";" and not points


def _format(guess: Guess | pa.DataType, options: dict[str, Any], comma: bool) -> str:
    """How the cells of a column are read; '' when they have their type already."""
    if not isinstance(guess, Guess):
        return ""
    wanted = options.get("types", {}).get(guess.name)
    if wanted is None and options.get("time_column") == guess.name:
        wanted = "date"
    return format_for(wanted, guess, comma) if wanted else guess.choose(comma)


def _write(
    source: Source, guesses: list[Guess | pa.DataType], formats: list[str], out: Path, options: dict[str, Any],
    bad: Bad,
) -> tuple[list[Column], list[Series], list[list[Any]]]:  # fmt: skip
    """Second time through: the typed copy, the figures of each column, the first rows."""
    types = [type_of(format) if format else _type_name(guess) for format, guess in zip(formats, guesses, strict=True)]
    schema = pa.schema([(name, TYPES[type]) for name, type in zip(source.names, types, strict=True)])
    columns = [Column(name, type) for name, type in zip(source.names, types, strict=True)]
    series = [Series(name) for name, type in zip(source.names, types, strict=True) if type == "date"]
    head: list[list[Any]] = []
    group = min(GROUP_ROWS, max(1000, GROUP_CELLS // max(1, len(columns))))
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for table in _grouped(_typed(source, schema, formats, columns, bad), schema, group):
            writer.write_table(table, row_group_size=group)
            for column in columns:
                column.add(table.column(column.name).combine_chunks())
            for one in series:
                one.add(table.column(one.name).combine_chunks())
            if len(head) < HEAD_ROWS:
                head += _head(table.slice(0, HEAD_ROWS - len(head)))
    for column in columns:
        if options.get("types", {}).get(column.name) == "category" and column.type == "text":
            column.type = "category"
    return columns, series, head


def _typed(
    source: Source, schema: pa.Schema, formats: list[str], columns: list[Column], bad: Bad
) -> Iterator[pa.RecordBatch]:
    for batch in source.batches(bad):
        made = []
        for cells, format, column in zip(batch.columns, formats, columns, strict=True):
            if format:
                cells, wrong = converted(cells, format)
                column.unreadable += wrong
            made.append(cells)
        yield pa.RecordBatch.from_arrays(made, schema=schema)


def _grouped(batches: Iterator[pa.RecordBatch], schema: pa.Schema, group: int) -> Iterator[pa.Table]:
    """Tables of exactly `group` rows, but for the last."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += len(batch)
        while count >= group:
            whole = pa.Table.from_batches(held, schema).combine_chunks()
            yield whole.slice(0, group)
            held, count = whole.slice(group).to_batches(), count - group
    if count:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def _type_name(type: pa.DataType) -> str:
    return next(name for name, known in TYPES.items() if known == type)


def _head(table: pa.Table) -> list[list[Any]]:
    columns = [[_shown(value) for value in column.to_pylist()] for column in table.columns[:HEAD_COLUMNS]]
    return [list(row) for row in zip(*columns, strict=True)]


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= HEAD_CHARACTERS else value[: HEAD_CHARACTERS - 1] + "…"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value

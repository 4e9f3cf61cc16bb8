"""A table's file on its page: its columns, what is in them, and its rows, read from the columnar copy as needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from common.errors import NotFoundError
from common.files import store
from datasets.models import Item

ROWS = 25
COLUMNS = 40  # shown of a wide table; the others are in its profile
CELL = 200  # characters of a cell
POINTS = 1500  # of a plotted column
WORDS = {"text", "category"}
PLOTTED = 6  # columns that can be chosen for the plot
NUMBERS = {"whole", "number"}


def context(item: Item, query: Mapping[str, str]) -> dict[str, Any]:
    """Everything of a table's page: columns with their figures, a page of rows, what can be plotted."""
    profile = item.facts.get("profile") or {}
    columns = [_column(one) for one in profile.get("columns", [])]
    series = profile.get("series")
    plotted = [one["name"] for one in columns if one["type"] in NUMBERS][:PLOTTED] if series else []
    return {"columns": columns, "series": series, "plotted": plotted, **rows(item, query)}


def rows(item: Item, query: Mapping[str, str]) -> dict[str, Any]:
    """One page of rows. Without a columnar copy the first fifty, which lie beside the item."""
    total = int(item.facts.get("rows") or 0)
    asked = query.get("rows", "0")
    first = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 12 else 0
    first = min(first - first % ROWS, max(0, (total - 1) // ROWS * ROWS))
    names = [column["name"] for column in item.facts.get("columns", [])][:COLUMNS]
    cells = _head(item) if first == 0 and item.facts.get("head") else _stretch(item, names, first)
    return {
        "names": names, "cells": [[_shown(cell) for cell in row[:COLUMNS]] for row in cells], "first": first,
        "last": first + len(cells), "row_count": total, "more_columns": len(item.facts.get("columns", [])) - len(names),
        "previous": first - ROWS if first else None, "next": first + ROWS if first + ROWS < total else None,
        "end": max(0, (total - 1) // ROWS * ROWS),
    }  # fmt: skip


def series(item: Item, column: str = "") -> dict[str, Any]:
    """A column over time for a plot: {"column", "x": seconds, "y": values}, thinned to the extremes of each stretch.

    Without a name the first column of numbers; nothing for an item that is no table with a time column. NotFoundError
    when a column is named that can't be plotted.
    """
    profile = item.facts.get("profile") or {}
    time = (profile.get("series") or {}).get("time")
    numbers = [one["name"] for one in item.facts.get("columns") or [] if one["type"] in NUMBERS] if time else []
    if column and column not in numbers:
        raise NotFoundError("This column can't be plotted over time.", "Choose a column of numbers.")
    if not numbers:
        return {"column": "", "x": [], "y": []}
    column = column or numbers[0]
    import numpy

    file = _parquet(item)
    if file is None:
        raise NotFoundError("The table's columnar copy is missing.", "Import the file again.")
    table = file.read(columns=[time, column])
    x = table.column(time).cast("timestamp[us]").cast("int64").to_numpy() / 1e6
    y = table.column(column).cast("float64").to_numpy()
    kept = _extremes(y, numpy)
    return {
        "column": column,
        "x": [float(value) for value in x[kept]],
        "y": [float(value) if math.isfinite(value) else None for value in y[kept]],
    }


def _extremes(values: Any, numpy: Any) -> Any:
    """Places of the lowest and highest value of each stretch, in order; all when there are few."""
    count = len(values)
    if count <= POINTS:
        return numpy.arange(count)
    edges = numpy.linspace(0, count, POINTS // 2 + 1).astype(int)
    filled = numpy.nan_to_num(values, nan=0.0)
    low = [start + int(filled[start:end].argmin()) for start, end in pairwise(edges)]
    high = [start + int(filled[start:end].argmax()) for start, end in pairwise(edges)]
    return numpy.unique(numpy.array([*low, *high]))


def _column(found: Mapping[str, Any]) -> dict[str, Any]:
    """A column's figures, with its histogram as bars on a field of 100 × 28."""
    words = found.get("type") in WORDS
    frequent = [number for _, number in found.get("top", [])]
    # The figures of words are those of their lengths, which nobody looks for here.
    counts = frequent if words else (found.get("histogram") or {}).get("counts") or frequent
    most = max(counts, default=0) or 1
    width = 100 / max(1, len(counts))
    bars = [
        {"x": round(place * width + 0.5, 2), "width": round(max(width - 1, 0.5), 2),
         "y": round(28 - 27 * count / most, 2), "height": round(27 * count / most, 2)}
        for place, count in enumerate(counts)
    ]  # fmt: skip
    shown = {**found, "bars": bars, "top": found.get("top", [])[:3]}
    if words:
        return shown | {"min": None, "median": None, "max": None, "bars": bars if found["type"] == "category" else []}
    return shown | {"median": (found.get("quantiles") or {}).get("0.5")}


def _head(item: Item) -> list[list[Any]]:
    head = item.facts["head"]
    if head and isinstance(head[0], dict):
        names = [column["name"] for column in item.facts.get("columns", [])]
        return [[row.get(name) for name in names] for row in head[:ROWS]]
    return head[:ROWS]


def _stretch(item: Item, names: list[str], first: int) -> list[list[Any]]:
    """Rows from the columnar copy; only the row groups that hold them are read."""
    file = _parquet(item)
    if file is None or not names:
        return []
    before = 0
    out: list[list[Any]] = []
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if before + size > first + len(out):
            begin = first + len(out) - before
            part = file.read_row_group(group, columns=names).slice(begin, ROWS - len(out))
            out += [list(row) for row in zip(*(column.to_pylist() for column in part.columns), strict=True)]
        before += size
        if len(out) >= ROWS:
            break
    return out


def _parquet(item: Item) -> Any:
    import pyarrow.parquet  # large: only where a table's rows are read

    address = item.facts.get("parquet")
    if not address or not store().exists(address):
        return None
    return pyarrow.parquet.ParquetFile(store().open(address))


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    text = f"{cell:.6g}" if isinstance(cell, float) else str(cell)
    return text if len(text) <= CELL else text[: CELL - 1] + "…"

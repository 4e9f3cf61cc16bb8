"""How a delimited file is written: what separates its cells, whether cells are quoted, and whether it has a header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import Any

from datasets import limits
from datasets.refused import Refused

# A point that could be part of a number stands last.
DELIMITERS = ("\t", ";", "|", ",")
ROWS = 1000  # that the guess is made from
AGREE = 0.9  # share of rows that must have as many cells as most have
NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d+)*|[.,]\d+)([eE][+-]?\d+)?\s*%?\s*")
MOMENT = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?\s*|\s*\d{1,2}:\d{2}(:\d{2}.*)?\s*")
MISSING = frozenset({"", "NA", "N/A", "na", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "#N/A", "?", "-"})


@dataclass(frozen=True)
class Dialect:
    """How to read it. `columns` are unique names, made up where there is no header."""

    delimiter: str
    quoted: bool
    header: bool
    columns: tuple[str, ...]

    def reader(self, lines: Any, *, strict: bool = False) -> Any:
        """Python's own reader of such lines. `strict`: quotes inside a quoted cell are an error, not a part of it."""
        return csv.reader(lines, strict=strict, **_settings(self.delimiter, self.quoted))


def sniff(sample: str, *, whole: bool, options: dict[str, Any] | None = None) -> Dialect | None:
    """The dialect of a text that begins so; None when it is no table. `whole`: there is nothing after the sample.

    `options` (delimiter, header) overrule what would be found. Refused when there are more columns than may be.
    """
    options = options or {}
    text = sample if whole else sample[: sample.rfind("\n") + 1] or sample
    forced = options.get("delimiter")
    best: tuple[tuple[float, int, int], str, bool, list[list[str]]] | None = None
    for delimiter in [forced] if forced else DELIMITERS:
        for quoted in (True, False):
            rows = _rows(text, delimiter, quoted)
            if rows is None or (quoted and not _uses_quotes(text, delimiter)):
                continue
            width, agree = _width(rows)
            if not forced and (width < 2 or agree < AGREE or (whole and len(rows) == 1 and not is_header(rows))):
                continue  # one line with a comma in it is no table
            rank = DELIMITERS.index(delimiter) if delimiter in DELIMITERS else 0
            score = (round(agree, 2), int(quoted), -rank)
            if best is None or score > best[0]:
                best = score, delimiter, quoted, rows
    if best is None:
        return _single(text, options)
    _, delimiter, quoted, rows = best
    # Cells of tab-separated files are not quoted unless they show it; of others they may be later on.
    return _dialect(delimiter, quoted or (delimiter != "\t" and '"' not in text), rows, options)


def names(cells: list[str]) -> tuple[str, ...]:
    """Column names: trimmed, unique, none of them empty."""
    found: list[str] = []
    seen: set[str] = set()
    for number, cell in enumerate(cells, 1):
        base = name = " ".join(cell.split())[:200] or f"column_{number}"
        times = 1
        while name in seen:
            times += 1
            name = f"{base}_{times}"
        seen.add(name)
        found.append(name)
    return tuple(found)


def is_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: texts, unlike what stands below.

    A name that is repeated or empty is none of a list of words, unless values stand below a name.
    """
    first, rest = [cell.strip() for cell in rows[0]], rows[1:]
    if any(cell and (cell in MISSING or is_value(cell)) for cell in first):
        return False
    below = [[row[number].strip() for row in rest if number < len(row)] for number in range(len(first))]
    if any(name and _are_values(cells) for name, cells in zip(first, below, strict=True)):
        return True
    if not all(first) or len(set(first)) < len(first):
        return False
    if any(cell in column for cell, column in zip(first, below, strict=True)):
        return False  # it is one of the values
    return all(len(cell) <= 60 and not re.search(r"[.!?]\s", cell) for cell in first)


def _are_values(cells: list[str]) -> bool:
    """Whether they are numbers and times, but for those that are missing."""
    return any(cells) and all(is_value(cell) or cell in MISSING for cell in cells)


def _settings(delimiter: str, quoted: bool) -> dict[str, Any]:
    if quoted:
        return {"delimiter": delimiter, "quotechar": '"', "doublequote": True}
    return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE}


def _rows(text: str, delimiter: str, quoted: bool) -> list[list[str]] | None:
    """The first rows that hold anything; None when there are none, or a cell never ends."""
    csv.field_size_limit(limits.MAX_ROW_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), **_settings(delimiter, quoted))
    try:
        return [row for row in islice(reader, ROWS) if any(cell.strip() for cell in row)] or None
    except csv.Error:
        return None


def _uses_quotes(text: str, delimiter: str) -> bool:
    """Whether cells stand in quotes. In tab-separated files that needs more than a few: people just write them."""
    edge = re.escape(delimiter)
    rest, wrapped = re.subn(rf'(?:^|(?<={edge}))"(?:[^"]|"")*"(?={edge}|\r|\n|\Z)', "", text, flags=re.MULTILINE)
    unmatched = len(re.findall(rf'(?:^|{edge})"', rest, re.MULTILINE))
    if unmatched > 0.1 * wrapped:
        return False
    if delimiter != "\t":
        return wrapped > 0
    inside = re.search(r'(?:^|\t)"[^"\n]*(?:""|\t|\n)', text, re.MULTILINE)
    return wrapped > 0 and (inside is not None or wrapped >= 0.5 * (text.count("\t") + text.count("\n")))


def _width(rows: list[list[str]]) -> tuple[int, float]:
    width, count = Counter(map(len, rows)).most_common(1)[0]
    return width, count / len(rows)


def _single(text: str, options: dict[str, Any]) -> Dialect | None:
    """A column of numbers or times, one a line."""
    rows = [[line] for line in islice(text.splitlines(), ROWS) if line.strip()]
    if len(rows) < 2 or not all(is_value(row[0]) or row[0].strip() in MISSING for row in rows[1:]):
        return None
    return _dialect("\x1f", False, rows, options)  # a separator that texts don't hold


def _dialect(delimiter: str, quoted: bool, rows: list[list[str]], options: dict[str, Any]) -> Dialect:
    header = options["header"] if "header" in options else is_header(rows)
    width = len(rows[0]) if header else _width(rows)[0]
    if width > limits.MAX_COLUMNS:
        raise Refused("too_many_columns", f"It has more than {limits.MAX_COLUMNS:,} columns.")
    return Dialect(delimiter, quoted, header, names(rows[0] if header else [""] * width))


def is_value(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell) or MOMENT.fullmatch(cell))

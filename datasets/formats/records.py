"""Files of rows: JSON lines, JSON arrays, CSV and TSV, read in constant memory, from any row on.

A row that can't be read is told with its line, and reading goes on with the next one.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from common.files import Draft
from datasets import limits
from datasets.formats import dialects, encodings, shapes
from datasets.formats.dialects import Dialect
from datasets.formats.encodings import Encoding
from datasets.formats.facts import Watched
from datasets.refused import Refused

PROBED = 20  # records that must show a known shape
MAX_LINES = 500  # that one quoted row may take
MAX_RECOVERIES = 1000  # of rows whose quotes don't match
_PROBLEM_CHARACTERS = 80


@dataclass(frozen=True)
class Record:
    """One row: its line (from 1), its cells by name or why it can't be used, and how much of the file is read."""

    line: int
    value: dict[str, Any] | Refused
    share: float


@dataclass(frozen=True)
class Records:
    """A file of rows that was recognised. Its draft is dropped when it was read."""

    draft: Draft
    encoding: Encoding
    layout: str  # jsonl, json or delimited
    dialect: Dialect | None = None

    def read(self, start: int = 0, beat: Callable[[], None] = lambda: None) -> Iterator[Record]:
        """The rows from number `start`; skipping lines of JSON costs no more than finding their ends."""
        with self.draft.reader() as file:
            watched = Watched(file, beat)
            pieces = encodings.decoded(watched, self.encoding)  # type: ignore[arg-type]

            def share() -> float:
                return min(1.0, file.tell() / max(1, self.draft.bytes))

            if self.layout == "jsonl":
                found = _json_lines(pieces, start)
            elif self.layout == "json":
                found = islice(_json_array(pieces), start, None)
            else:
                assert self.dialect is not None
                found = islice(_delimited(pieces, self.dialect), start, None)
            for line, value in found:
                yield Record(line, value, share())


def records_of(draft: Draft, encoding: Encoding, sample: str, options: dict[str, Any]) -> Records | None:
    """The rows of a file that begins with `sample`; None when it is a document.

    Refused when it holds rows of which none has a known shape.
    """
    read_as = options.get("read_as", "")
    if read_as == "document":
        return None
    layout = json_layout(sample)
    if layout:
        found = Records(draft, encoding, layout)
        columns = [set(record.value) for record in islice(found.read(), PROBED) if isinstance(record.value, dict)]
        if any(shapes.fits(names, options) for names in columns):
            return found
        raise _unknown(sorted(set().union(*columns)) if columns else [], "JSON")
    whole = draft.bytes < len(sample) or len(sample) < limits.MIB // 4
    dialect = dialects.sniff(sample, whole=whole, options=options)
    if dialect is None:
        if read_as == "rows":
            raise Refused("not_rows", "It is a text without rows: nothing separates cells in it.")
        return None
    rows = _sample_rows(sample, dialect)
    if not dialect.header and (columns := _label_and_text(rows, dialect, options)):
        dialect = Dialect(dialect.delimiter, dialect.quoted, False, columns)
    if shapes.fits(set(dialect.columns), options) and (dialect.header or rows):
        return Records(draft, encoding, "delimited", dialect)
    if read_as == "rows" or (dialect.header and len(rows) >= 5 and _is_tabular(rows, dialect)):
        raise _unknown(list(dialect.columns), "a table")
    return None


def json_layout(sample: str) -> str:
    start = sample.lstrip()
    if start.startswith("["):
        try:
            first, _ = json.JSONDecoder().raw_decode(start[1:].lstrip())
        except (ValueError, RecursionError):
            return ""
        return "json" if isinstance(first, dict) else ""
    if not start.startswith("{"):
        return ""
    lines = [line for line in start.split("\n")[: PROBED + 1] if line.strip()]
    return "jsonl" if any(_is_object(line) for line in lines) else ""


def _is_object(line: str) -> bool:
    try:
        return isinstance(shapes.parse(line), dict)
    except Refused:
        return False


def _unknown(columns: list[str], what: str) -> Refused:
    shown = ", ".join(columns[:12])[:200] or "none"
    return Refused(
        "unknown_columns", f"It is {what} (columns: {shown}), and none of the known shapes: {shapes.WANTED}."
    )


def _sample_rows(sample: str, dialect: Dialect) -> list[list[str]]:
    try:
        rows = [row for row in islice(dialect.reader(sample.splitlines()), dialects.ROWS) if row]
    except csv.Error:
        return []
    return rows[1:] if dialect.header else rows


def _is_tabular(rows: list[list[str]], dialect: Dialect) -> bool:
    """Whether it is surely a table and no prose with commas: several columns, or one of numbers or times."""
    cells = [row for row in rows if len(row) == len(dialect.columns)]
    if len(cells) < 0.98 * len(rows):
        return False
    return len(dialect.columns) > 2 or any(
        all(dialects.is_value(row[number]) for row in cells) for number in range(len(dialect.columns))
    )


def _label_and_text(rows: list[list[str]], dialect: Dialect, options: dict[str, Any]) -> tuple[str, ...] | None:
    """Names for two columns without a header of which one holds a few short words, over and over."""
    if len(dialect.columns) != 2 or (dialect.delimiter != "\t" and options.get("read_as") != "rows") or len(rows) < 5:
        return None
    cells = [row for row in rows if len(row) == 2]
    kinds = [len({row[number] for row in cells}) for number in (0, 1)]
    longest = [max(len(row[number]) for row in cells) for number in (0, 1)]
    few = 0 if kinds[0] <= kinds[1] else 1
    named = [row[few] for row in cells if re.search(r"\w", row[few])]  # a tab may also indent a paragraph
    if not 2 <= kinds[few] <= max(2, len(cells) // 4) or longest[few] > 40 or len(named) < 0.95 * len(cells):
        return None
    return ("label", "text") if few == 0 else ("text", "label")


def _lines(pieces: Iterator[str]) -> Iterator[str | None]:
    """Lines with their ends; None for one that is longer than a row may be."""
    rest: list[str] = []
    size = 0
    for piece in pieces:
        first, *others = piece.split("\n")
        size += len(first)
        if size <= limits.MAX_ROW_BYTES:
            rest.append(first)
        for part in others:
            yield "".join(rest) + "\n" if size <= limits.MAX_ROW_BYTES else None
            rest, size = [part] if len(part) <= limits.MAX_ROW_BYTES else [], len(part)
    if size:
        yield "".join(rest) if size <= limits.MAX_ROW_BYTES else None


def _json_lines(pieces: Iterator[str], start: int) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    number = 0
    for line_number, line in enumerate(_lines(pieces), 1):
        if line is not None and not line.strip():
            continue
        number += 1
        if number > start:
            yield line_number, _object(line)


def _object(line: str | None) -> dict[str, Any] | Refused:
    if line is None:
        return Refused("too_large", "The row is larger than 1 MiB.")
    try:
        value = shapes.parse(line)
    except Refused as refused:
        return refused
    return value if isinstance(value, dict) else Refused("bad_row", "It is JSON, but no object.")


def _json_array(pieces: Iterator[str]) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    """The objects of an array; what follows a damaged one can't be found again."""
    decoder = json.JSONDecoder(parse_constant=shapes.no_constant)
    buffer, position, at_end = "", 0, False
    line, counted = 1, 0  # the line on which `counted` stands

    def more() -> bool:
        nonlocal buffer, position, at_end, line, counted
        piece = next((piece for piece in pieces if piece), None)
        at_end = piece is None
        line += buffer.count("\n", counted, position)
        buffer, position, counted = buffer[position:] + (piece or ""), 0, 0
        return not at_end

    more()
    position = buffer.find("[") + 1
    while True:
        while position < len(buffer) and buffer[position] in " \t\r\n,":
            position += 1
        if position == len(buffer):
            if more():
                continue
            yield line, Refused("cut_off", "The array is cut off: its end is missing.")
            return
        line, counted = line + buffer.count("\n", counted, position), position
        if buffer[position] == "]":
            return
        try:
            value, end = decoder.raw_decode(buffer, position)
        except RecursionError:
            yield line, Refused("bad_row", "It is nested too deeply. What follows was not read.")
            return
        except ValueError as error:
            if len(buffer) - position <= limits.MAX_ROW_BYTES and more():
                continue
            words = getattr(error, "msg", str(error))[:_PROBLEM_CHARACTERS]
            yield line, Refused("bad_row", f"It is not valid JSON: {words}. What follows was not read.")
            return
        yield line, value if isinstance(value, dict) else Refused("bad_row", "It is JSON, but no object.")
        position = end


class _UnmatchedQuotes(Exception):
    """A row goes on for more lines than a row may."""


class _Feed:
    """Lines for Python's reader, which can be given back when a quote was not meant as one."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self.lines = lines
        self.again: list[str] = []
        self.row: list[str] = []  # lines of the present row
        self.line = 0  # of the last one handed out
        self.too_long = False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if len(self.row) >= MAX_LINES:
            raise _UnmatchedQuotes
        line = self.again.pop() if self.again else next(self.lines)
        self.line += 1
        if line is None:
            self.too_long, line = True, "\n"
        self.row.append(line)
        return line

    def give_back(self) -> None:
        """All lines of the present row but its first."""
        self.again.extend(reversed(self.row[1:]))
        self.line -= len(self.row) - 1
        self.row = []


def _delimited(pieces: Iterator[str], dialect: Dialect) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    csv.field_size_limit(limits.MAX_ROW_BYTES)
    feed = _Feed(_lines(pieces))
    reader = dialect.reader(feed, strict=True)
    header_seen = not dialect.header
    recoveries = 0
    while True:
        feed.row, feed.too_long = [], False
        first = feed.line + 1
        problem: Refused | None = None
        row: list[str] = []
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, _UnmatchedQuotes):
            problem = Refused("bad_row", "Its quotes don't match.")
        if feed.too_long:
            problem = Refused("too_large", "The row is larger than 1 MiB.")
        elif problem is None:
            if not any(cell.strip() for cell in row):
                continue
            if not header_seen:
                header_seen = True
                continue
            if len(row) != len(dialect.columns):
                expected = len(dialect.columns)
                problem = Refused("bad_row", f"It has {len(row)} cells, the others have {expected}.")
        if problem is None:
            yield first, {name: cell for name, cell in zip(dialect.columns, row, strict=True) if cell}
            continue
        if len(feed.row) > 1 and not feed.too_long:
            problem = Refused("bad_row", "Its quotes don't match.")
            recoveries += 1
            feed.give_back()
            reader = dialect.reader(feed, strict=True)
        yield first, problem
        if recoveries > MAX_RECOVERIES:
            yield first, Refused("bad_row", f"Quotes don't match in more than {MAX_RECOVERIES:,} rows; reading ended.")
            return

"""The rows of a table's file as batches of Arrow, any number of times; runs in the sandbox.

Cells of texts (CSV, JSON, Excel) come as strings and are typed later; Parquet brings types of its own.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from datasets import limits
from datasets.formats import dialects, encodings
from datasets.formats.dialects import Dialect
from datasets.formats.encodings import Encoding
from datasets.formats.facts import HEAD
from datasets.formats.records import Records, json_layout
from datasets.formats.tables import MAX_NOTED
from datasets.refused import Refused

BATCH_ROWS = 10_000
BLOCK = 4 << 20


class Source(Protocol):
    media_type: str
    names: list[str]
    about: dict[str, Any]  # how it was read: encoding, delimiter, sheet …

    def batches(self, bad: Bad) -> Iterator[pa.RecordBatch]: ...


@dataclass
class Bad:
    """Rows that could not be used."""

    count: int = 0
    noted: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, reason: str) -> None:
        self.count += 1
        if len(self.noted) < MAX_NOTED:
            self.noted.append((line, reason))


@dataclass(frozen=True)
class PlainFile:
    """A file by its path, where records expect a draft."""

    path: Path

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size

    def reader(self) -> Any:
        return open(self.path, "rb")


def open_source(path: Path, layout: str, options: dict[str, Any]) -> Source:
    """The reader that suits the content. Refused when it is no table."""
    if layout == "parquet":
        return ParquetSource(path)
    if layout == "workbook":
        return WorkbookSource(path, options)
    with open(path, "rb") as file:
        encoding = encodings.find(file, options.get("encoding", ""))
        text = ""
        for piece in encodings.decoded(file, encoding):
            text += piece
            if len(text) >= encodings.SAMPLE:
                break
        whole = not file.read(1)
    if json_layout(text):
        return JsonSource(path, encoding, json_layout(text))
    dialect = dialects.sniff(text[: encodings.SAMPLE], whole=whole and len(text) <= encodings.SAMPLE, options=options)
    if dialect is None:
        raise Refused("not_a_table", "It is text, but no table: no character separates its lines into equal cells.")
    return DelimitedSource(path, encoding, dialect)


class DelimitedSource:
    """CSV and its relatives: read by Arrow, or row by row where quotes don't match."""

    def __init__(self, path: Path, encoding: Encoding, dialect: Dialect) -> None:
        self.path, self.encoding, self.dialect = path, encoding, dialect
        self.names = list(dialect.columns)
        self.media_type = "text/tab-separated-values" if dialect.delimiter == "\t" else "text/csv"
        self.about = {
            "encoding": encoding.name, "delimiter": dialect.delimiter.replace("\x1f", ""), "header": dialect.header,
        }  # fmt: skip
        self.by_rows = False

    def batches(self, bad: Bad) -> Iterator[pa.RecordBatch]:
        if self.by_rows:
            yield from self._by_rows(bad)
            return
        try:
            yield from self._by_arrow(bad)
        except pa.ArrowInvalid as error:
            raise Restart from error

    def _by_arrow(self, bad: Bad) -> Iterator[pa.RecordBatch]:
        width = len(self.names)

        def invalid(row: Any) -> str:
            bad.add(row.number or 0, f"It has {row.actual_columns} cells, the others have {width}.")
            return "skip"

        keys = [f"f{number}" for number in range(width)]
        reader = pyarrow.csv.open_csv(
            self.path,
            pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=keys,
                encoding="utf8" if self.encoding.codec in {"utf-8", "utf-8-sig"} else self.encoding.codec,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=self.dialect.delimiter, quote_char='"' if self.dialect.quoted else False,
                newlines_in_values=self.dialect.quoted, invalid_row_handler=invalid,
            ),
            pyarrow.csv.ConvertOptions(
                column_types={key: pa.string() for key in keys}, strings_can_be_null=False, check_utf8=True
            ),
        )  # fmt: skip
        skip = int(self.dialect.header)
        for batch in reader:
            # A quote that never ends swallows the next line. Row by row such a cell is told from one of two lines.
            if self.dialect.quoted and any(pc.any(pc.match_substring(cells, "\n")).as_py() for cells in batch.columns):
                raise Restart
            rest = batch.slice(skip)
            skip = max(0, skip - len(batch))
            if len(rest):
                yield pa.RecordBatch.from_arrays(rest.columns, self.names)

    def _by_rows(self, bad: Bad) -> Iterator[pa.RecordBatch]:
        records = Records(PlainFile(self.path), self.encoding, "delimited", self.dialect)  # type: ignore[arg-type]
        yield from _of_records(records, self.names, bad)


class JsonSource:
    """JSON lines or an array of objects; the columns are all keys that occur."""

    def __init__(self, path: Path, encoding: Encoding, layout: str) -> None:
        self.records = Records(PlainFile(path), encoding, layout)  # type: ignore[arg-type]
        self.media_type = "application/json" if layout == "json" else "application/x-ndjson"
        self.about = {"encoding": encoding.name}
        found: dict[str, None] = {}
        for record in self.records.read():
            if isinstance(record.value, dict):
                found.update(dict.fromkeys(record.value))
                if len(found) > limits.MAX_COLUMNS:
                    raise Refused("too_many_columns", f"Its rows have more than {limits.MAX_COLUMNS:,} keys.")
        self.keys = list(found)
        self.names = list(dialects.names(self.keys))

    def batches(self, bad: Bad) -> Iterator[pa.RecordBatch]:
        yield from _of_records(self.records, self.names, bad, self.keys)


class WorkbookSource:
    """One sheet of an Excel or OpenDocument file, which is read as a whole."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        from python_calamine import CalamineError, CalamineWorkbook

        self._check_size(path)
        with open(path, "rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            try:
                book = CalamineWorkbook.from_filelike(file)
                sheets = book.sheet_names
                chosen = options.get("sheet") or next(iter(sheets), "")
                if chosen not in sheets:
                    raise Refused("no_such_sheet", f"It has no sheet '{chosen}'. There are: {', '.join(sheets)[:200]}.")
                rows = book.get_sheet_by_name(chosen).to_python(skip_empty_area=True)
                if not rows and not options.get("sheet"):  # the first one may be a cover
                    chosen, rows = next(
                        ((name, found) for name in sheets if (found := book.get_sheet_by_name(name).to_python())),
                        (chosen, rows),
                    )
            except CalamineError as error:
                raise Refused("not_a_table", "It is no workbook that can be read: damaged, or locked.") from error
        if not head.startswith(b"PK"):
            self.media_type = "application/vnd.ms-excel"
        elif b"opendocument" in head:
            self.media_type = "application/vnd.oasis.opendocument.spreadsheet"
        cells = [[_cell(value) for value in row] for row in rows if any(value != "" for value in row)]
        header = options["header"] if "header" in options else bool(cells) and dialects.is_header(cells[:1000])
        width = len(cells[0]) if cells else 0
        if width > limits.MAX_COLUMNS:
            raise Refused("too_many_columns", f"It has more than {limits.MAX_COLUMNS:,} columns.")
        self.names = list(dialects.names(cells[0] if header else [""] * width))
        self.cells = cells[1:] if header else cells
        self.about = {"sheet": chosen, "sheets": sheets[:100], "header": bool(header)}

    @staticmethod
    def _check_size(path: Path) -> None:
        with open(path, "rb") as file:
            if file.read(2) != b"PK":
                return
        try:
            with ZipFile(path) as archive:
                unpacked = sum(info.file_size for info in archive.infolist())
        except (BadZipFile, ValueError, NotImplementedError) as error:
            raise Refused("not_a_table", "It is a damaged workbook.") from error
        if unpacked > limits.MAX_WORKBOOK_BYTES:
            mib = limits.MAX_WORKBOOK_BYTES // limits.MIB
            raise Refused("too_large", f"Unpacked, the workbook is larger than {mib:,} MiB. Save it as CSV.")

    def batches(self, bad: Bad) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(self.cells), BATCH_ROWS):
            columns = zip(*self.cells[start : start + BATCH_ROWS], strict=True)
            yield pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], self.names)


class ParquetSource:
    """A columnar file: its own types, but for what people don't calculate with."""

    media_type = "application/vnd.apache.parquet"

    def __init__(self, path: Path) -> None:
        try:
            self.file = pq.ParquetFile(path)
            schema = self.file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise Refused("not_a_table", "It begins like a Parquet table, but is damaged or cut off.") from error
        if len(schema) > limits.MAX_COLUMNS:
            raise Refused("too_many_columns", f"It has more than {limits.MAX_COLUMNS:,} columns.")
        self.names = list(dialects.names(schema.names))
        self.about: dict[str, Any] = {}

    def batches(self, bad: Bad) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.file.iter_batches(BATCH_ROWS, use_threads=False):
                yield pa.RecordBatch.from_arrays([_simple(column) for column in batch.columns], self.names)
        except pa.ArrowMemoryError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise Refused("not_a_table", "The Parquet table is damaged: its rows can't be read to the end.") from error


class Restart(Exception):
    """Arrow can't read this file; it is read again, row by row."""


def _of_records(
    records: Records, names: list[str], bad: Bad, keys: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    keys = keys or names
    rows = records.read()
    while part := list(islice(rows, BATCH_ROWS)):
        good = []
        for record in part:
            if isinstance(record.value, Refused):
                bad.add(record.line, record.value.reason)
            else:
                good.append(record.value)
        if good:
            columns = [pa.array([_cell(row.get(key)) for row in good], pa.string()) for key in keys]
            yield pa.RecordBatch.from_arrays(columns, names)


def _cell(value: Any) -> str:
    """A cell as it would stand in a CSV file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ", timespec="microseconds" if value.microsecond else "seconds")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value).encode("utf-8", "replace").decode()


def _simple(cells: pa.Array) -> pa.Array:
    """One of the five types that tables here have; texts are typed by what they hold."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells = cells.dictionary_decode()
        kind = cells.type
    if pa.types.is_boolean(kind):
        return cells
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return cells.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        return cells.cast(pa.float64())
    if pa.types.is_timestamp(kind):
        return cells.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.timestamp("us"))
    if pa.types.is_date(kind):
        return cells.cast(pa.timestamp("us"))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return cells.cast(pa.string()).fill_null("")
    return pa.array(["" if value is None else _cell(value) for value in cells.to_pylist()], pa.string())

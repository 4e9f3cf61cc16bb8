"""Sheets: the rows of a table dataset, read in batches from the columnar copies of its files.

A dataset of several files is one sheet: its rows are numbered through from 0, file by file in the order of their
import. A column that only some files have is empty in the others. pyarrow is loaded with the first row that is read,
not with this module.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from datasets.models import Dataset, Item, Modality

MAX_CHOSEN = 50  # rows of a preview


@dataclass(frozen=True)
class Column:
    """A column by its name, and its type as people know it."""

    name: str
    type: str


@dataclass(frozen=True)
class Table:
    """One file of the sheet: the address of its columnar copy, and the number of its first row in the sheet."""

    item: int
    name: str
    parquet: str
    rows: int
    first: int
    aside: tuple[tuple[int, int], ...] = ()  # rows [first, after last) that people set aside


@dataclass(frozen=True)
class Row:
    """A row: its number in the sheet, the file it is in, its number there, and its cells. Numbers begin at 0."""

    number: int
    item: int
    row: int
    values: dict[str, Any]
    aside: bool = False


@dataclass(frozen=True)
class Sheet:
    """The rows of a table dataset as they are now."""

    tables: tuple[Table, ...]
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    def read(self, first: int = 0, columns: Collection[str] | None = None, size: int = 1000) -> Iterator[list[Row]]:
        """Batches of at most `size` rows from number `first` on; all `columns` when None. Memory does not grow."""
        for table in self.tables:
            skip = max(0, first - table.first)
            if skip < table.rows:
                yield from _batches(table, skip, columns, size)

    def pick(self, numbers: Sequence[int], columns: Collection[str] | None = None) -> list[Row]:
        """Single rows in the order asked for. NotFoundError for a number that the sheet does not have."""
        found: list[Row] = []
        for number in numbers[:MAX_CHOSEN]:
            if not 0 <= number < self.rows:
                raise NotFoundError(f"The sheet has no row {number + 1:,}.", f"It has {self.rows:,} rows.")
            found.append(next(self.read(number, columns, 1))[0])
        return found


def open_sheet(dataset: Dataset) -> Sheet:
    """The sheet of a dataset. InvalidInputError when it holds no tables, ConflictError while none can be read."""
    if dataset.modality != Modality.TABLE:
        message = (
            f"'{dataset.name}' holds {dataset.get_modality_display().lower()}, and only tables have rows to render."
        )
        raise InvalidInputError(message, "Choose a dataset of tables.", fields={"dataset": [message]})
    tables: list[Table] = []
    columns: dict[str, Column] = {}
    first = 0
    found = dataset.items.filter(aside="", facts__has_key="parquet").order_by("id").only("id", "name", "facts")
    for item in found.iterator(500):
        table = _table(item, first)
        first += table.rows
        tables.append(table)
        for column in item.facts.get("columns", []):
            columns.setdefault(column["name"], Column(column["name"], str(column.get("type", ""))))
    if not first:
        raise ConflictError(f"'{dataset.name}' has no rows yet.", "Add a table, or wait until its import has ended.")
    return Sheet(tuple(tables), tuple(columns.values()))


def _table(item: Item, first: int) -> Table:
    aside = tuple((int(start), int(end)) for start, end in item.facts.get("aside_rows", []))
    return Table(item.pk, item.name, item.facts["parquet"], int(item.facts.get("rows", 0)), first, aside)


def _batches(table: Table, skip: int, columns: Collection[str] | None, size: int) -> Iterator[list[Row]]:
    """The rows of one file from its row `skip` on; whole row groups before it are not read."""
    import pyarrow.parquet as parquet

    with store().open(table.parquet) as source, parquet.ParquetFile(source) as file:
        there = set(file.schema_arrow.names)
        wanted = [name for name in file.schema_arrow.names if columns is None or name in columns]
        absent = dict.fromkeys(set(columns or ()) - there)
        start = 0
        for group in range(file.num_row_groups):
            length = file.metadata.row_group(group).num_rows
            if start + length > skip:
                yield from _of_group(file, table, group, (start, skip), wanted, absent, size)
            start += length


def _of_group(
    file: Any, table: Table, group: int, at: tuple[int, int], wanted: list[str], absent: dict[str, None], size: int
) -> Iterator[list[Row]]:
    number, skip = at
    # Without a column there would be no rows to count: the first one stands in.
    names = wanted or file.schema_arrow.names[:1]
    for batch in file.iter_batches(size, row_groups=[group], columns=names, use_threads=False):
        late = min(batch.num_rows, max(0, skip - number))
        if late < batch.num_rows:
            yield [
                Row(table.first + row, table.item, row, {name: cells.get(name) for name in wanted} | absent,
                    any(start <= row < end for start, end in table.aside))
                for row, cells in enumerate(_plain(batch.slice(late)), number + late)
            ]  # fmt: skip
        number += batch.num_rows


def _plain(batch: Any) -> list[dict[str, Any]]:
    """The cells as Python has them; of times finer than a microsecond the rest is cut off."""
    import pyarrow

    for place, field in enumerate(batch.schema):
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            coarser = batch.column(place).cast(pyarrow.timestamp("us", field.type.tz), safe=False)
            batch = batch.set_column(place, field.name, coarser)
    return batch.to_pylist()

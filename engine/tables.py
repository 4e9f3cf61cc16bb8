"""The rows of tables as columns of numpy: read from a version's columnar copies, or from rows that people hand over."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from engine.data import Dataset, Item, bad_data
from engine.protocol import EngineError, FailureCode

NUMERIC = ("whole", "number", "yes_no")
YES = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}
MAX_CELLS = 400_000_000  # 3 GiB of numbers
MAX_ROWS = 200_000  # of rows that are handed over at once
LARGEST = 1e100  # of a figure; squares and sums of larger ones are no numbers any more


@dataclass(frozen=True)
class Table:
    """All rows of a version. `kinds` is whole, number, yes_no, date, text or category by column name, in the order of
    the columns. `columns` holds (rows,) arrays: float64 with NaN, datetime64[us] with NaT, or objects (str or None).
    `source` is the number of each row's item in `items`."""

    kinds: dict[str, str]
    columns: dict[str, np.ndarray]
    items: list[Item]
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    @property
    def aside(self) -> int:
        """Rows of its items that were set aside, and are not among these."""
        return sum(after - first for item in self.items for first, after in item.aside_rows)

    def taken(self, chosen: np.ndarray) -> Table:
        """Some of the rows: indices, or a mask."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Table(self.kinds, columns, self.items, self.source[chosen])


def read_tables(dataset: Dataset, log: Callable[[str], None], breathe: Callable[[], None]) -> Table:
    """Read all tables of a version, one below the other, without the rows that were set aside.

    EngineError BAD_DATA when their columns differ, or no row is left."""
    kinds: dict[str, str] = {}
    pieces: list[dict[str, np.ndarray]] = []
    sources: list[np.ndarray] = []
    for number, item in enumerate(dataset.items):
        breathe()
        columns, found = _read(dataset, item)
        _check_same(kinds, found, dataset.items[0], item)
        kinds = kinds or found
        rows = len(next(iter(columns.values()))) if columns else 0
        pieces.append(columns)
        sources.append(np.full(rows, number))
    whole = {name: np.concatenate([_as(piece[name], kinds[name]) for piece in pieces]) for name in kinds}
    source = np.concatenate(sources)
    if not len(source) or not kinds:
        raise bad_data("The tables of this version have no rows.", "Add rows, or bring back rows that were set aside.")
    _within_reach(whole, kinds, log)
    return Table(kinds, whole, dataset.items, source)


def columns_of(rows: Any, kinds: Mapping[str, str], number: int) -> dict[str, np.ndarray]:
    """The columns that `kinds` names, of rows that people hand over ([{column: value}, …]), as `Table` has them.

    A column that a row does not name is missing there. EngineError BAD_DATA says which value of which row can't be
    read; `number` is the number of the input, from 0."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise bad_rows(number, "it is no list of rows", "Send a table as a list of objects: [{column: value, …}, …].")
    if len(rows) > MAX_ROWS:
        raise bad_rows(number, f"it has more than {MAX_ROWS:,} rows", "Send them in several requests.")
    columns: dict[str, np.ndarray] = {}
    for name, kind in kinds.items():
        values = []
        for place, row in enumerate(rows):
            try:
                values.append(_value(row.get(name), kind))
            except (ValueError, TypeError, OverflowError):
                raise bad_rows(
                    number,
                    f"'{row[name]!s:.60}' in column '{name}' of row {place + 1} is no {_NAMES[kind]}",
                    "Correct the value, or leave it empty (null) when it is not known.",
                ) from None
        columns[name] = np.array(values, dtype=_dtype(kind))
    return columns


def check_names(rows: list[dict[str, Any]], needed: Sequence[str], known: Sequence[str], number: int) -> None:
    """EngineError BAD_DATA when the rows of an input lack a column, or name one that the model has never seen."""
    named = {str(name) for row in rows for name in row}
    if missing := [name for name in needed if name not in named]:
        raise bad_rows(
            number,
            f"{_columns(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            f"Send these columns: {_listed(needed)}.",
        )
    if unknown := sorted(named - set(known)):
        raise bad_rows(
            number, f"the model does not know {_columns(unknown)}", f"Send only these columns: {_listed(known)}."
        )


def bad_rows(number: int, reason: str, hint: str) -> EngineError:
    """The refusal of an input that can't be used as a table."""
    return EngineError(FailureCode.BAD_DATA, f"Input {number + 1} can't be used: {reason}.", hint)


def no_column(name: str, kinds: Mapping[str, str], setting: str) -> EngineError:
    """The refusal of a setting that names a column which is not there."""
    return EngineError(
        FailureCode.BAD_CONFIG,
        f"The table has no column '{name}', which the setting '{setting}' names.",
        f"Choose one of: {_listed(list(kinds))}.",
    )


def spread(seed: int, positions: np.ndarray) -> np.ndarray:
    """A well-spread number from 0 to 1 for each position, a function of (seed, position) alone (splitmix64)."""
    with np.errstate(over="ignore"):
        z = positions.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def seconds_of(moments: np.ndarray) -> np.ndarray:
    """Times as seconds since 1970, NaN where there is none."""
    seconds = moments.astype("datetime64[us]").astype(np.int64) / 1e6
    return np.where(np.isnat(moments), np.nan, seconds)


def time_text(moment: np.datetime64) -> str:
    """A time as people and JSON read it: without hours where there are none."""
    text = str(moment.astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(" 00:00:00")


_NAMES = {
    "whole": "number", "number": "number", "yes_no": "yes or no", "date": "date (2026-01-31 or 2026-01-31 12:00:00)",
    "text": "text", "category": "text",
}  # fmt: skip


def _read(dataset: Dataset, item: Item) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    import pyarrow.lib
    import pyarrow.parquet

    path = dataset.parquet(item)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            if file.metadata.num_rows * file.metadata.num_columns > MAX_CELLS:
                raise bad_data(f"'{item.name}' is too large to be trained on as a whole.", "Use a part of its rows.")
            table = file.read(use_threads=False)
    except (pyarrow.lib.ArrowException, OSError) as error:
        raise bad_data(f"The columns of '{item.name}' can't be read: {error}.", "Import the table again.") from error
    told = {entry["name"]: entry["type"] for entry in item.facts.get("columns") or [] if isinstance(entry, dict)}
    kinds: dict[str, str] = {}
    columns: dict[str, np.ndarray] = {}
    kept = _kept(table.num_rows, item.aside_rows)
    for name, cells in zip(table.column_names, table.columns, strict=True):
        kinds[name], values = _array(cells, told.get(name))
        columns[name] = values[kept]
    return columns, kinds


def _array(cells: Any, told: str | None) -> tuple[str, np.ndarray]:
    """The kind of a column, and its cells as numpy."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if types.is_boolean(cells.type):
        return "yes_no", cells.cast(pa.float64()).to_numpy()
    if types.is_integer(cells.type):
        return "whole", cells.cast(pa.float64(), safe=False).to_numpy()
    if types.is_floating(cells.type) or types.is_decimal(cells.type):
        return "number", cells.cast(pa.float64(), safe=False).to_numpy()
    if types.is_timestamp(cells.type) or types.is_date(cells.type):
        moments = cells.cast(pa.timestamp("us"), safe=False)
        return "date", moments.to_numpy().astype("datetime64[us]")
    if types.is_null(cells.type):
        return "number", np.full(len(cells), np.nan)
    texts = np.array([str(value) if value not in (None, "") else None for value in cells.to_pylist()], dtype=object)
    return ("category" if told == "category" else "text"), texts


def _kept(rows: int, aside: Sequence[Sequence[int]]) -> np.ndarray:
    kept = np.ones(rows, dtype=bool)
    for first, after in aside:
        kept[first:after] = False
    return kept


def _check_same(kinds: Mapping[str, str], found: Mapping[str, str], first: Item, item: Item) -> None:
    if not kinds:
        return
    if set(kinds) != set(found):
        other = min(set(kinds) ^ set(found))
        where = first.name if other in kinds else item.name
        raise bad_data(
            f"The tables of this version have different columns: only '{where}' has '{other}'.",
            "Use tables with the same columns, or remove the others from the version.",
        )
    for name, kind in kinds.items():
        if (kind == "date") != (found[name] == "date") or (kind in NUMERIC) != (found[name] in NUMERIC):
            raise bad_data(
                f"Column '{name}' holds {_NAMES[kind]} in '{first.name}' and {_NAMES[found[name]]} in '{item.name}'.",
                "Import the tables again with one type for this column.",
            )


def _as(values: np.ndarray, kind: str) -> np.ndarray:
    return values.astype(_dtype(kind), copy=False)


def _dtype(kind: str) -> str:
    return "float64" if kind in NUMERIC else "datetime64[us]" if kind == "date" else "object"


def _within_reach(columns: dict[str, np.ndarray], kinds: Mapping[str, str], log: Callable[[str], None]) -> None:
    """Figures that can't be reckoned with count as missing, and those that are next to nothing as 0."""
    for name, values in columns.items():
        if kinds[name] not in NUMERIC:
            continue
        if (infinite := np.isinf(values)).any():
            log(f"Column '{name}' holds {int(infinite.sum()):,} infinities; they count as missing.")
        if (large := (np.abs(values) > LARGEST) & ~infinite).any():
            log(f"Column '{name}' holds {int(large.sum()):,} figures beyond {LARGEST:g}; they count as missing.")
        if (small := (np.abs(values) < 1 / LARGEST) & (values != 0)).any():
            log(f"Column '{name}' holds {int(small.sum()):,} figures below {1 / LARGEST:g}; they count as 0.")
        if infinite.any() or large.any() or small.any():
            columns[name] = np.where(infinite | large, np.nan, np.where(small, 0.0, values))


def _value(value: Any, kind: str) -> Any:
    """A cell as `Table` holds it; ValueError or TypeError when it can't be of this kind."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return np.datetime64("NaT") if kind == "date" else math.nan if kind in NUMERIC else None
    if kind == "date":
        return _moment(value)
    if kind == "yes_no" and isinstance(value, str) and value.strip().lower() in YES:
        return YES[value.strip().lower()]
    if kind in NUMERIC:
        figure = float(value)
        return math.nan if not abs(figure) <= LARGEST else figure if abs(figure) >= 1 / LARGEST else 0.0
    if isinstance(value, dict | list):
        raise TypeError
    return str(value)


def _moment(value: Any) -> np.datetime64:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    elif not isinstance(value, date):
        raise TypeError
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def _columns(names: Sequence[str]) -> str:
    return f"the column{'s' if len(names) > 1 else ''} {_listed(names)}"


def _listed(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

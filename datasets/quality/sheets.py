"""Measuring tables through their columnar copy: gaps, disorder, repetition, outliers and personal data, row by row.

A table is one item; its fingerprint holds what was found in its rows, at most `MOST_ROWS` of each kind by number.
Numbers that must be compared as a whole (row hashes, time stamps) cost 8 bytes a row; cells are read in row groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.files import store
from datasets.models import Item
from datasets.quality import columns, personal, texts
from datasets.quality.found import Found
from datasets.quality.profile import Profile

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
UNREADABLE = (OSError, ValueError)  # Arrow's errors are among these
MOST_ROWS = 1000  # of one kind that are named by number; all are counted
MANY = 0.2  # of the rows: such a fault is the table's nature, and is said once
TIME_NAMES = re.compile(r"(^|_|\b)(time|date|datetime|timestamp|ts|ds|zeit|datum|uhrzeit)(_|\b|$)", re.IGNORECASE)


@dataclass
class Rows:
    """Rows of one kind: all are counted, the first are named with what is to be said of them."""

    count: int = 0
    named: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: int, said: str) -> None:
        self.count += 1
        if len(self.named) < MOST_ROWS:
            self.named.append((row, said))


def measure(item: Item, beat: Callable[[], None]) -> tuple[dict[str, Any], bytes]:
    """What was found in a table's rows and columns."""
    import numpy as np
    import pyarrow.parquet as pq

    path = store().path(item.facts["parquet"]) if "parquet" in item.facts else None
    if path is None or not path.exists():
        raise ValueError("no columnar copy")
    file = pq.ParquetFile(path)
    total = file.metadata.num_rows
    names = file.schema_arrow.names
    series = (item.facts.get("profile") or {}).get("series") or {}
    time = series.get("time") or _time_column(file.schema_arrow)
    hashes = np.zeros(total, np.uint64)
    stamps = np.full(total, np.iinfo(np.int64).min)
    missing = dict.fromkeys(names, 0)
    found = {code: Rows() for code in ("personal_data", "mojibake")}
    numbers = {name: columns.Numbers() for name in names if columns.is_number(file.schema_arrow.field(name).type)}
    constant = {name: columns.Constant() for name in names}
    start = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        beat()
        rows = slice(start, start + table.num_rows)
        for name in names:
            column = table.column(name).combine_chunks()
            beat()
            missing[name] += column.null_count
            constant[name].add(column)
            hashes[rows] = columns.mixed(hashes[rows], columns.hashes(column))
            if name == time:
                stamps[rows] = columns.instants(column)
            if name in numbers:
                numbers[name].add(column)
            for row, kinds in columns.personal(column, name, beat):
                found["personal_data"].add(start + row, f"'{name}' holds {personal.in_words(kinds)}")
            for row in columns.garbled(column, texts.mojibake):
                found["mojibake"].add(start + row, f"'{name}'")
        start += table.num_rows
    found |= _repeated(hashes, len(names)) | _in_time(stamps, time)
    found |= _unusual(file, numbers, found["time_disorder"].count == 0 and bool(time), beat)
    facts = {
        "rows": total, "columns": len(names), "time": time,
        "missing": {name: count for name, count in missing.items() if count},
        "constant": [name for name in names if total > 1 and constant[name].holds and missing[name] < total],
        "found": {code: {"count": rows.count, "rows": rows.named} for code, rows in found.items() if rows.count},
    }  # fmt: skip
    return facts, b""


def judge(facts: dict[str, Any], profile: Profile) -> Iterator[Found]:
    """What is wrong with one table and with its rows."""
    total = max(1, facts["rows"])
    if missing := facts["missing"]:
        cells = sum(missing.values())
        share = cells / (total * facts["columns"])
        worst = sorted(missing.items(), key=lambda pair: -pair[1])
        named = ", ".join(f"'{name}' ({count:,})" for name, count in worst[:5])
        more = f" and {len(worst) - 5} more columns" if len(worst) > 5 else ""
        yield Found("missing_values", f"{cells:,} cells ({share:.1%}) have no value: {named}{more}.",
                    points=max(1, round(min(1.0, 2 * share) * 20)), details={"columns": missing})  # fmt: skip
    if constant := facts["constant"]:
        named = ", ".join(f"'{name}'" for name in constant[:8])
        yield Found("constant_column", f"The same value in every row: {named}.", points=min(15, 3 * len(constant)),
                    details={"columns": constant})  # fmt: skip
    for code, what in facts["found"].items():
        count = what["count"]
        if count > MANY * total and total >= 20:
            yield Found(code, f"{count:,} of {total:,} rows: {WORDS[code]}", details={"rows": count})
            continue
        for row, said in what["rows"]:
            yield Found(code, f"Row {row + 1:,}: {said}.", row=row, details={"rows": count})


WORDS = {
    "personal_data": "they hold personal data.",
    "mojibake": "letters look like UTF-8 that was read as Windows-1252.",
    "duplicate_row": "they say the same as an earlier row.",
    "time_gap": "the time stamps leap ahead.",
    "time_disorder": "they are not in the order of time.",
    "time_repeated": "the time stamp is that of the row above.",
    "outlier": "a number lies far outside of what its column holds otherwise.",
    "value_jump": "a number leaps.",
}


def _time_column(schema: pa.Schema) -> str:
    """The column that says when; '' when there is none. A date of birth is a date, but not this one."""
    import pyarrow as pa

    dated = [field.name for field in schema if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)]
    named = [name for name in dated if TIME_NAMES.search(name)]
    return (named or [name for name in dated if name == schema.names[0]] or [""])[0]


def _repeated(hashes: Any, width: int) -> dict[str, Rows]:
    import numpy as np

    rows = Rows()
    if width > 1:
        order = np.argsort(hashes, kind="stable")
        arranged = hashes[order]
        same = np.flatnonzero(arranged[1:] == arranged[:-1]) + 1
        first = np.maximum.accumulate(np.where(np.r_[True, arranged[1:] != arranged[:-1]], np.arange(len(order)), 0))
        for row, earlier in sorted(zip(order[same].tolist(), order[first[same]].tolist(), strict=True)):
            rows.add(row, f"the same as row {earlier + 1:,}")
    return {"duplicate_row": rows}


def _in_time(stamps: Any, time: str) -> dict[str, Rows]:
    """Gaps, disorder and repetition of time stamps (nanoseconds; the lowest number is none)."""
    import numpy as np

    gaps, disorder, repeated = Rows(), Rows(), Rows()
    known = np.flatnonzero(stamps != np.iinfo(np.int64).min) if time else np.zeros(0, int)
    if len(known) > 2:
        steps = np.diff(stamps[known])
        onward = steps[steps > 0]
        step = float(np.median(onward)) if len(onward) else 0.0
        regular = len(onward) and (np.abs(onward - step) <= 0.01 * step).mean() > 0.9
        for place in np.flatnonzero(steps < 0).tolist():
            disorder.add(int(known[place + 1]), f"'{time}' lies before that of the row above")
        for place in np.flatnonzero(steps == 0).tolist():
            repeated.add(int(known[place + 1]), f"'{time}' is that of the row above")
        for place in np.flatnonzero(steps > (1.5 if regular else 50) * step).tolist() if step else []:
            times = steps[place] / step
            gaps.add(int(known[place + 1]), f"'{time}' leaps by {times:,.0f} times the usual step")
    return {"time_gap": gaps, "time_disorder": disorder, "time_repeated": repeated}


def _unusual(
    file: Any, numbers: dict[str, columns.Numbers], ordered: bool, beat: Callable[[], None]
) -> dict[str, Rows]:
    """Outliers, and jumps where the rows stand in the order of time: a second reading, now that limits are known."""
    outliers, jumps = Rows(), Rows()
    limits = {name: column.limits(ordered) for name, column in numbers.items()}
    limits = {name: known for name, known in limits.items() if known}
    start = 0
    for group in range(file.num_row_groups if limits else 0):
        table = file.read_row_group(group, columns=list(limits))
        beat()
        for name, limit in limits.items():
            values = columns.floats(table.column(name).combine_chunks())
            for row in limit.outside(values):
                outliers.add(start + row, f"'{name}' is {values[row]:,.6g}, far outside of what it is otherwise")
            for row in limit.leaps(values):
                jumps.add(start + row, f"'{name}' leaps from {values[row - 1]:,.6g} to {values[row]:,.6g}")
        start += table.num_rows
    for rows in (outliers, jumps):
        rows.named.sort()
    return {"outlier": outliers, "value_jump": jumps}

"""All sessions that fit, as CSV or Parquet: read and sent piece by piece, so that a million take no more memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, StreamingHttpResponse

from common.downloads import download
from common.pages import csv_response
from datasets.items.paging import Beside
from history.models import Session

FORMATS = ("csv", "parquet")
ROWS = 2_000  # read at once
GROUP = 10_000  # rows of one group of a Parquet file
PARQUET = "application/vnd.apache.parquet"

# Column → (field, kind). First what is recorded of every session, then what the hub and people add.
COLUMNS: dict[str, tuple[str, str]] = {
    "id": ("id", "whole"), "user": ("user__username", "text"), "session_id": ("session_id", "id"),
    "examples_requested": ("examples_requested", "whole"), "examples_successful": ("examples_successful", "whole"),
    "examples_failed": ("examples_failed", "whole"), "genres": ("genres", "json"),
    "stored_in_memory": ("stored_in_memory", "flag"), "saved_to_database": ("saved_to_database", "flag"),
    "saved_count": ("saved_count", "whole"), "quality_average": ("quality_average", "number"),
    "quality_min": ("quality_min", "number"), "quality_max": ("quality_max", "number"),
    "best_model": ("best_model", "text"), "performance_by_model": ("performance_by_model", "json"),
    "genre_distribution": ("genre_distribution", "json"), "total_seconds": ("total_seconds", "number"),
    "examples_before": ("examples_before", "whole"), "examples_after": ("examples_after", "whole"),
    "fine_tuning_triggered": ("fine_tuning_triggered", "flag"), "started_at": ("started_at", "time"),
    "completed_at": ("completed_at", "time"), "created_at": ("created_at", "time"),
    "name": ("name", "text"), "kind": ("kind", "text"), "recipe": ("recipe", "text"), "outcome": ("outcome", "text"),
    "job": ("job_id", "whole"), "model_version": ("model_version_id", "whole"), "subject": ("subject__name", "text"),
    "metric": ("metric", "text"), "metric_value": ("metric_value", "number"), "metrics": ("metrics", "json"),
    "estimated_seconds": ("estimated_seconds", "number"), "cost": ("cost", "number"), "currency": ("currency", "text"),
    "note": ("note", "text"), "tags": ("tags", "list"), "starred": ("starred", "flag"),
}  # fmt: skip
PLAIN: dict[str, Callable[[Any], Any]] = {
    "id": str,
    "list": lambda value: json.dumps(value, ensure_ascii=False),
    "number": float,
}
TYPES = {"whole": "int64", "flag": "bool_", "number": "float64", "time": "timestamp"}


def response(request: HttpRequest, sessions: QuerySet[Session], form: str, name: str) -> StreamingHttpResponse:
    """The download of these sessions, newest first, in one of FORMATS."""
    if form == "parquet":
        return download(request, parquet(sessions), PARQUET, f"{name}.parquet")
    return csv_response(request, name, list(COLUMNS), csv_rows(sessions))


def csv_rows(sessions: QuerySet[Session]) -> Iterator[list[Any]]:
    """Times as ISO 8601 of UTC, lists and mappings as JSON."""
    times = [place for place, (_, kind) in enumerate(COLUMNS.values()) if kind == "time"]
    for part in _parts(sessions):
        for row in part:
            for place in times:
                row[place] = row[place].isoformat()
            yield row


def parquet(sessions: QuerySet[Session]) -> Iterator[bytes]:
    """A Parquet file in pieces, each group of rows sent as soon as it is written."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [kind for _, kind in COLUMNS.values()]
    types = [pa.timestamp("us", tz="UTC") if kind == "time" else getattr(pa, TYPES.get(kind, "string"))()
             for kind in kinds]  # fmt: skip
    shape = pa.schema(list(zip(COLUMNS, types, strict=True)))
    pipe = _Pipe()
    held: list[list[Any]] = []
    with pq.ParquetWriter(pa.PythonFile(pipe, mode="w"), shape, compression="zstd") as writer:

        def write() -> bytes:
            columns = [pa.array(values, kind) for values, kind in zip(zip(*held, strict=True), types, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=shape))
            held.clear()
            return pipe.taken()

        for part in _parts(sessions):
            held += part
            if len(held) >= GROUP:
                yield write()
        if held:
            yield write()
    yield pipe.taken()


class _Pipe:
    """A file that is read while it is written."""

    closed = False

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.position = 0

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self.held.append(piece)
        self.position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        data = b"".join(self.held)
        self.held.clear()
        return data


def _parts(sessions: QuerySet[Session]) -> Iterator[list[list[Any]]]:
    """Some thousand rows at a time. Each is a query of its own that goes on behind the last row: a cursor would keep
    a transaction open for as long as the download takes."""
    converts = [(place, PLAIN[kind]) for place, (_, kind) in enumerate(COLUMNS.values()) if kind in PLAIN]
    # JSON stays the text that the database keeps: nothing is gained by taking it apart.
    texts = {f"{name}_text": Cast(name, TextField()) for name, kind in COLUMNS.values() if kind == "json"}
    fields = [f"{name}_text" if kind == "json" else name for name, kind in COLUMNS.values()]
    rows = sessions.order_by("-started_at", "-id").annotate(**texts)
    started, number = list(COLUMNS).index("started_at"), list(COLUMNS).index("id")
    after: tuple[Any, int] | None = None
    while True:
        found = rows if after is None else rows.filter(Beside(("started_at", "id"), after, "<"))
        part = [list(row) for row in found.values_list(*fields)[:ROWS]]
        if not part:
            return
        after = (part[-1][started], part[-1][number])
        full = len(part) == ROWS
        for row in part:
            for place, convert in converts:
                if row[place] is not None:
                    row[place] = convert(row[place])
        yield part
        if not full:
            return

"""Exports: all that fits, every field, no formulas, and no more memory for more rows."""

import csv
import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from history import browsing, exporting
from history.filters import Filters
from history.models import Session
from history.recording import record_reported
from tests.api.conftest import Api

START = datetime(2026, 3, 1, tzinfo=UTC)
FULL = {
    "examples_requested": 10, "examples_successful": 8, "examples_failed": 2, "genres": ["noir", "sea"],
    "stored_in_memory": True, "saved_to_database": True, "saved_count": 7, "quality_average": 7.5, "quality_min": 5.0,
    "quality_max": 9.5, "best_model": "@cmd", "performance_by_model": {"Teller": {"wins": 6, "average_quality": 8.0}},
    "genre_distribution": {"noir": 5}, "total_seconds": 61.5, "examples_before": 40, "examples_after": 48,
    "fine_tuning_triggered": True, "name": "=1+1", "metrics": {"train/loss": 0.5},
}  # fmt: skip


def record(owner, number=0, **more):
    at = START + timedelta(hours=number)
    return record_reported(owner, {"started_at": at, "completed_at": at, "name": f"run {number}", **more})[0]


def many(owner, count):
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO history_session (user_id, session_id, kind, name, recipe, outcome, genres, stored_in_memory,
                saved_to_database, best_model, performance_by_model, genre_distribution, fine_tuning_triggered, metrics,
                request_digest, started_at, completed_at, created_at, modality, metric, currency, note, tags, starred)
            SELECT %s, gen_random_uuid(), 'training', 'run ' || n, '', 'completed', '[]', false, false, '', '{}', '{}',
                false, '{}', '', now(), now(), now(), '', '', '', repeat('x', 100), '{}', false
            FROM generate_series(1, %s) AS n""",
            [owner.pk, count],
        )


def test_the_csv_has_every_field_as_it_was_recorded(owner):
    session = record(owner, **FULL)
    rows = list(csv.DictReader(io.StringIO(b"".join(Api(owner).get(
        f"training-history/user/{owner.pk}/export")).decode())))  # fmt: skip
    assert len(rows) == 1
    row = rows[0]
    assert set(FULL) | {"id", "user", "session_id", "started_at", "completed_at", "created_at"} <= set(row)
    assert (row["name"], row["best_model"]) == ("'=1+1", "'@cmd")
    for name in ("genres", "performance_by_model", "genre_distribution", "metrics"):
        assert json.loads(row[name]) == FULL[name]
    for name in ("examples_requested", "saved_count", "quality_average", "quality_min", "total_seconds"):
        assert float(row[name]) == FULL[name]
    assert (row["user"], row["session_id"], row["started_at"]) == (
        "alice", str(session.session_id), "2026-03-01T00:00:00+00:00",
    )  # fmt: skip


def test_parquet_holds_the_same_with_types(owner):
    import pyarrow.parquet as pq

    record(owner, **FULL)
    record(owner, 1)
    data = b"".join(Api(owner).get(f"training-history/user/{owner.pk}/export?format=parquet"))
    table = pq.read_table(io.BytesIO(data))
    assert table.column_names == list(exporting.COLUMNS)
    plain, full = table.to_pylist()
    assert (plain["name"], plain["saved_count"], plain["quality_average"]) == ("run 1", None, None)
    assert (full["name"], full["saved_count"], full["fine_tuning_triggered"]) == ("=1+1", 7, True)
    assert full["started_at"] == START
    assert json.loads(full["genres"]) == FULL["genres"]


def test_only_what_fits_is_exported_and_nobody_elses(owner, stranger, client):
    record(owner, 1, outcome="failed")
    record(owner, 2)
    record(stranger, 3)
    client.force_login(owner)
    lines = b"".join(client.get("/history?export=csv&outcome=failed")).decode().splitlines()
    assert len(lines) == 2 and "run 1" in lines[1]
    assert len(b"".join(client.get("/history?export=csv")).decode().splitlines()) == 3
    assert client.get("/history?export=parquet").headers["Content-Disposition"].endswith('"history.parquet"')
    assert Api(stranger).get(f"training-history/user/{owner.pk}/export").status_code == 404
    for wrong in ("format=xlsx", "outcome=x", "owner=1"):
        assert Api(owner).get(f"training-history/user/{owner.pk}/export?{wrong}").status_code == 400


@pytest.mark.parametrize("form", exporting.FORMATS)
def test_more_rows_take_no_more_memory(owner, form, monkeypatch):
    monkeypatch.setattr(exporting, "GROUP", 2_000)
    many(owner, 20_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE history_session")
    pieces = exporting.parquet if form == "parquet" else exporting.csv_rows
    sizes = {}
    for count in (4_000, 20_000):
        rows = Session.objects.filter(pk__in=Session.objects.order_by("-started_at", "-id").values("pk")[:count])
        next(pieces(rows))  # whatever is imported and kept is so by now
        tracemalloc.start()
        number = sum(1 for _ in pieces(rows))
        sizes[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert number == (count if form == "csv" else count // 2_000 + 1)
    assert sizes[20_000] < 1.3 * sizes[4_000] + 2_000_000
    assert sizes[20_000] < 40_000_000


def test_what_fits_comes_once_each_across_pieces(owner, monkeypatch):
    monkeypatch.setattr(exporting, "ROWS", 3)
    made = [record(owner, number // 2).pk for number in range(10)]
    found = [row[0] for row in exporting.csv_rows(browsing.matching(owner, Filters()))]
    assert found == sorted(made, reverse=True)

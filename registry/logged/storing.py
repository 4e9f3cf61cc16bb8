"""Rows of the log into the database, with a mark on each period whose figures they change."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DataError, IntegrityError, connection, transaction

from datasets.models import Subject
from registry.logged import shadow_truths
from registry.logged.rows import Row
from registry.models import ModelVersion, Prediction, RouteArm, Touched

log = logging.getLogger(__name__)
COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)
TABLE = Prediction._meta.db_table
COPY = f"COPY {TABLE} ({COLUMNS}) FROM STDIN"
INSERT = f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({', '.join(['%s'] * len(Row._fields))}) ON CONFLICT DO NOTHING"


def store(rows: Sequence[Row]) -> None:
    """All rows at once, or none: errors of the database mean that none is there.

    A row that is there already stays as it is, so a batch whose fate is not known can be stored again. What a row names
    and was deleted meanwhile becomes null; a row of a model or version that is gone is left out.
    """
    try:
        with transaction.atomic():
            _copy(rows)
            touch({(row.version_id, row.at) for row in rows})
            shadow_truths.tell(rows)
    except (IntegrityError, DataError):
        _store_mended(_mended(rows))


def _store_mended(rows: Sequence[Row]) -> None:
    """Row by row where one of them can't be held at all: it must not keep the others out."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(INSERT, rows)
            touch({(row.version_id, row.at) for row in rows})
            shadow_truths.tell(rows)
    except DataError as error:
        if len(rows) == 1:
            log.error("a prediction can't be put down: %s", error)
            return
        for row in rows:
            _store_mended([row])


def touch(periods: Iterable[tuple[int, str | datetime]]) -> None:
    """Mark the hours of (version, time) for `performance`, in the transaction of what changes their figures."""
    moments = ((pk, datetime.fromisoformat(at) if isinstance(at, str) else at) for pk, at in periods)
    hours = {(pk, at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)) for pk, at in moments}
    Touched.objects.bulk_create(Touched(version_id=pk, since=hour) for pk, hour in sorted(hours))


def _copy(rows: Sequence[Row]) -> None:
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(COPY) as copy:
        for row in rows:
            copy.write_row(row)


def _mended(rows: Sequence[Row]) -> list[Row]:
    """The rows without what was deleted since they were made."""
    versions = set(_there(ModelVersion, (row.version_id for row in rows)))
    people = set(_there(get_user_model(), (row.user_id for row in rows)))
    subjects = set(_there(Subject, (row.subject_id for row in rows)))
    arms = set(_there(RouteArm, (row.arm_id for row in rows)))
    kept = [
        row._replace(
            user_id=row.user_id if row.user_id in people else None,
            subject_id=row.subject_id if row.subject_id in subjects else None,
            arm_id=row.arm_id if row.arm_id in arms else None,
        )
        for row in rows
        if row.version_id in versions
    ]
    if len(kept) < len(rows):
        log.warning("%s predictions of versions that were deleted are left out of the log", len(rows) - len(kept))
    return kept


def _there(kind: Any, ids: Iterable[int | None]) -> Iterable[int]:
    return kind.objects.filter(pk__in={pk for pk in ids if pk is not None}).values_list("pk", flat=True)


def packed(row: Row) -> str:
    """A row as a line of a spool file."""
    return json.dumps(row, ensure_ascii=True, allow_nan=False)


def unpacked(line: str) -> Row | None:
    """The row of a line; None for one that was cut off."""
    try:
        values = json.loads(line)
        return Row(*values) if isinstance(values, list) else None
    except (ValueError, TypeError):
        return None

"""The truth of an answer is that of its shadows too, whichever of the two is there first.

Whoever tells a truth gives it to the shadows that are written, whoever writes shadows gives them the truths that are
told. A lock of their model, which the shadows of an answer share with it, lets neither miss the other: of two at the
same moment one begins to look when the other has ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from common.errors import InvalidInputError
from registry.logged.judging import outcome_of
from registry.logged.rows import Row
from registry.models import Outcome, Prediction

LOCK = 7_236_011  # with a model's id
AT_ONCE = 1_000


def hold(models: Iterable[int]) -> None:
    """Before truths are told, first of all in their transaction: many may at once, while no shadow looks for one."""
    _lock("pg_advisory_xact_lock_shared", models)


def tell(rows: Sequence[Row]) -> None:
    """Give the shadows among rows that were just written the truth that is known of the answers which were given, in
    the transaction that wrote them. Costs nothing where there are none."""
    shadows = [row for row in rows if row.shadow_of and not row.error]
    if not shadows:
        return
    _lock("pg_advisory_xact_lock", {row.model_id for row in shadows})
    for begin in range(0, len(shadows), AT_ONCE):
        _tell(shadows[begin : begin + AT_ONCE])


def _tell(shadows: Sequence[Row]) -> None:
    given = Outcome.objects.filter(pk__in={row.shadow_of for row in shadows}, truth__isnull=False)
    told = {str(outcome.pk): outcome for outcome in given}
    made = [one for row in shadows if (known := told.get(row.shadow_of or "")) and (one := _outcome(row, known))]
    Outcome.objects.bulk_create(made, ignore_conflicts=True)


def _outcome(row: Row, known: Outcome) -> Outcome | None:
    """What a shadow's answer is worth by a truth; None for one of another kind, with which it can't be compared."""
    shadow = Prediction(
        id=UUID(row.id), at=datetime.fromisoformat(row.at), model_id=row.model_id, version_id=row.version_id,
        arm_id=row.arm_id, group=row.group, output=json.loads(row.output) if row.output else None, label=row.label,
        score=row.score,
    )  # fmt: skip
    try:
        return outcome_of(shadow, known.user_id, known.truth)
    except InvalidInputError:
        return None


def _lock(function: str, models: Iterable[int]) -> None:
    with connection.cursor() as cursor:
        for pk in sorted(models):  # in one order, so that two with several models never wait for each other
            cursor.execute(f"SELECT {function}(%s, %s)", [LOCK, pk % 2**31])

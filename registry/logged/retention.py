"""Predictions are kept for as long as their model's policy says, by whole days in UTC; outcomes for as long as well.

What a comparison that goes on is made of is kept to its end: its outcomes, and with shadows its predictions, too.

What is too old goes in small batches, each a transaction of its own, so that nobody waits for a lock.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from common.background import QUEUE, put
from common.identifiers import least_at
from registry.logged.policies import DEFAULT
from registry.models import LogPolicy, Model, Outcome, Prediction, Route, RouteArm

log = logging.getLogger(__name__)
TASK = "registry.tasks.remove_old_predictions"
LOOK_SECONDS = 600.0
BATCH = 2_000
BUDGET = 20.0  # seconds of one task; then it puts another behind what waits
_look_at = 0.0  # monotonic

OLD_PREDICTIONS = """
DELETE FROM registry_prediction WHERE id IN (
    SELECT id FROM registry_prediction WHERE model_id = %s AND id < %s AND (arm_id IS NULL OR arm_id <> ALL(%s))
    ORDER BY id LIMIT %s)
"""
OLD_OUTCOMES = """
DELETE FROM registry_outcome WHERE prediction_id IN (
    SELECT prediction_id FROM registry_outcome WHERE model_id = %s AND at < %s AND predicted_at < %s
    AND (arm_id IS NULL OR arm_id <> ALL(%s)) ORDER BY at LIMIT %s)
"""


def kept_since(days: int, now: datetime | None = None) -> datetime:
    """From when on predictions are kept that are kept for so many days: a midnight, so that no day is kept in part."""
    today = (now or timezone.now()).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days)


def sweep() -> None:
    """Have old rows removed, if there are any; looks six times an hour."""
    global _look_at
    if time.monotonic() < _look_at:
        return
    _look_at = time.monotonic() + LOOK_SECONDS
    if _due():
        put(QUEUE, TASK)


def run(budget: float = BUDGET) -> int:
    """Remove what is too old; returns how many predictions and outcomes. What takes longer is left to another task."""
    until = time.monotonic() + budget
    removed = 0
    for model_id, since in _due():
        compared, paired = (list(arms.filter(route__model=model_id)) for arms in _held())
        predictions = _remove(OLD_PREDICTIONS, [model_id, least_at(since), paired], until)
        outcomes = _remove(OLD_OUTCOMES, [model_id, since, since, compared], until)
        removed += predictions + outcomes
        log.info(
            "removed %s logged predictions and %s outcomes of model %s, older than %s",
            predictions, outcomes, model_id, since.date(),
        )  # fmt: skip
        if time.monotonic() >= until:
            put(QUEUE, TASK)
            break
    return removed


def _due() -> list[tuple[int, datetime]]:
    """(model, from when on its rows are kept) where there are older ones."""
    others = LogPolicy.objects.values_list("days", flat=True).distinct().order_by()
    compared, paired = _held()
    found: list[tuple[int, datetime]] = []
    for days in {DEFAULT.days, *others}:
        since = kept_since(days)
        models = Model.objects.filter(log_policy__days=days)
        if days == DEFAULT.days:
            models = models | Model.objects.filter(log_policy=None)
        old = Prediction.objects.filter(model=OuterRef("pk"), id__lt=least_at(since)).order_by()
        told = Outcome.objects.filter(model=OuterRef("pk"), at__lt=since, predicted_at__lt=since).order_by()
        old, told = old.exclude(arm__in=list(paired)), told.exclude(arm__in=list(compared))
        found += [(pk, since) for pk in models.filter(Exists(old) | Exists(told)).values_list("pk", flat=True)]
    return found


def _held() -> tuple[QuerySet[RouteArm, int], QuerySet[RouteArm, int]]:
    """The ids of arms that are being compared now: (those whose outcomes are kept, those whose predictions are)."""
    arms = RouteArm.objects.filter(route__ended_at=None).order_by()
    shadowed = Route.objects.filter(ended_at=None, arms__shadow=True)
    return arms.values_list("pk", flat=True), arms.filter(route__in=shadowed).values_list("pk", flat=True)


def _remove(statement: str, of: list[object], until: float) -> int:
    count = 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(statement, [*of, BATCH])
            count += cursor.rowcount
            if cursor.rowcount < BATCH or time.monotonic() >= until:
                return count

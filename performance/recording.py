"""Figures of versions: from their evaluation at the end of training, or reported from the world."""

from __future__ import annotations

import math
import re
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.utils import timezone

from common.errors import InvalidInputError
from jobs.creation import CLOCKS_DIFFER
from performance.alerts import evaluating
from performance.models import MetricRecord
from performance.retraining import triggers
from registry.models import ModelVersion

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _./@%-]{0,99}")


def record(version: ModelVersion, name: str, value: float, recorded_at: datetime | None = None) -> MetricRecord:
    """A figure that a program reports of a version; `recorded_at` None: now.

    InvalidInputError for a name with odd characters, a value that is not finite, or a time in the future.
    """
    now = timezone.now()
    at = recorded_at or now
    problems: dict[str, list[str]] = {}
    if not NAME.fullmatch(name):
        problems["name"] = ["Use letters, digits and / . _ - @ %, at most 100, such as production/accuracy."]
    if not math.isfinite(value):
        problems["value"] = ["Must be a finite number."]
    if at > now + CLOCKS_DIFFER:
        problems["recorded_at"] = ["Lies in the future."]
    if problems:
        raise InvalidInputError(
            "The figure can't be recorded.", "Correct the named fields and send it again.", fields=problems
        )
    made = MetricRecord.objects.create(
        model_id=version.model_id,
        version=version,
        name=name,
        value=value,
        source=MetricRecord.Source.REPORTED,
        recorded_at=at,
    )
    evaluating.soon()
    triggers.knock_of_figures([version.model_id])
    return made


def record_evaluations(limit: int = 500) -> int:
    """Take the evaluation of each ready version that has none here yet; returns how many figures are new.

    Safe to repeat and to run in several processes at once: a figure of a version exists once.
    """
    known = MetricRecord.objects.filter(version=OuterRef("pk"), source=MetricRecord.Source.EVALUATION)
    ready = ModelVersion.objects.filter(~Exists(known), status=ModelVersion.Status.READY).exclude(metrics={})
    rows = [row for version in ready.order_by("-pk")[:limit] for row in _evaluation(version)]
    if not rows:
        return 0
    there = MetricRecord.objects.filter(version__in={row.version_id for row in rows}, source=rows[0].source)
    before = there.count()
    MetricRecord.objects.bulk_create(rows, ignore_conflicts=True)
    evaluating.soon()
    triggers.knock_of_figures({row.model_id for row in rows})
    return there.count() - before


def _evaluation(version: ModelVersion) -> list[MetricRecord]:
    return [
        MetricRecord(
            model_id=version.model_id,
            version=version,
            name=name[:100],
            value=float(value),
            source=MetricRecord.Source.EVALUATION,
            recorded_at=version.created_at,
        )
        for name, value in version.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ]

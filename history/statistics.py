"""Figures over sessions, computed by the database."""

from __future__ import annotations

from typing import Any

from django.db.models import Avg, Count, Q, QuerySet, Sum

from history.models import Session


def statistics(sessions: QuerySet[Session]) -> dict[str, Any]:
    """Totals over these sessions, in one query. `average_quality` is None while no session has a quality."""
    figures = sessions.order_by().aggregate(
        sessions=Count("pk"),
        fine_tuning_sessions=Count("pk", filter=Q(fine_tuning_triggered=True)),
        completed=Count("pk", filter=Q(outcome="completed")),
        failed=Count("pk", filter=Q(outcome="failed")),
        cancelled=Count("pk", filter=Q(outcome="cancelled")),
        examples=Sum("examples_successful"),
        saved_examples=Sum("saved_count"),
        average_quality=Avg("quality_average"),
        total_seconds=Sum("total_seconds"),
    )
    quality = figures["average_quality"]
    return figures | {
        "examples": figures["examples"] or 0,
        "saved_examples": figures["saved_examples"] or 0,
        "average_quality": None if quality is None else round(float(quality), 2),
        "total_seconds": figures["total_seconds"] or 0.0,
    }

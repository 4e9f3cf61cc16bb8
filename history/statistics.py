"""Totals over sessions, computed by the database: of whole days from what they add up to, else from the sessions."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Avg, Count, Q, QuerySet, Sum

from common.access import visible
from history.filters import EQUAL, Filters
from history.models import Session, SessionDay


def days(viewer: AbstractBaseUser, wanted: Filters) -> QuerySet[SessionDay]:
    """The sums of the days that `viewer` may see; of the filters, those in `filters.DAILY` are looked at."""
    rows = visible(SessionDay.objects.order_by(), viewer, "user")
    if wanted.user is not None:
        rows = rows.filter(user=wanted.user)
    if wanted.since:
        rows = rows.filter(day__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(day__lte=wanted.until)
    return rows.filter(**{name: value for name in EQUAL if (value := getattr(wanted, name))})


def of_days(rows: QuerySet[SessionDay]) -> dict[str, Any]:
    """Totals over these days, in one query. `average_quality` is None while no session has a quality."""
    figures = rows.aggregate(
        all_sessions=Sum("sessions"),
        fine_tuning_sessions=Sum("fine_tuning"),
        completed=Sum("sessions", filter=Q(outcome="completed")),
        failed=Sum("sessions", filter=Q(outcome="failed")),
        cancelled=Sum("sessions", filter=Q(outcome="cancelled")),
        all_examples=Sum("examples"),
        generated_examples=Sum("examples", filter=Q(kind=Session.Kind.GENERATION)),
        saved_examples=Sum("saved"),
        all_quality=Sum("quality"),
        all_rated=Sum("rated"),
        total_seconds=Sum("seconds"),
    )
    quality, rated = figures.pop("all_quality"), figures.pop("all_rated")
    totals = {"sessions": figures.pop("all_sessions"), "examples": figures.pop("all_examples"), **figures}
    return _rounded(totals | {"average_quality": quality / rated if rated else None})


def statistics(sessions: QuerySet[Session]) -> dict[str, Any]:
    """Totals over these sessions, in one query that reads each of them."""
    return _rounded(
        sessions.order_by().aggregate(
            sessions=Count("pk"),
            fine_tuning_sessions=Count("pk", filter=Q(fine_tuning_triggered=True)),
            completed=Count("pk", filter=Q(outcome="completed")),
            failed=Count("pk", filter=Q(outcome="failed")),
            cancelled=Count("pk", filter=Q(outcome="cancelled")),
            examples=Sum("examples_successful"),
            generated_examples=Sum("examples_successful", filter=Q(kind=Session.Kind.GENERATION)),
            saved_examples=Sum("saved_count"),
            average_quality=Avg("quality_average"),
            total_seconds=Sum("total_seconds"),
        )
    )


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    quality = figures["average_quality"]
    known = {name: value or 0 for name, value in figures.items()}
    return known | {
        "average_quality": None if quality is None else round(float(quality), 2),
        "total_seconds": float(known["total_seconds"]),
    }

"""The sums of each day, added up anew from the sessions by nothing of ours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC
from typing import Any

from django.db import connection

KEY = ("user_id", "day", "kind", "recipe", "modality", "outcome", "metric", "currency")
SUMS = (
    "sessions", "fine_tuning", "examples", "saved", "seconds", "cost", "priced", "rated", "quality", "measured",
    "metric_sum", "estimated", "estimated_seconds", "estimated_took",
)  # fmt: skip
FIELDS = (
    "user_id", "started_at", "kind", "recipe", "modality", "outcome", "metric", "currency", "fine_tuning_triggered",
    "examples_successful", "saved_count", "total_seconds", "cost", "quality_average", "metric_value",
    "estimated_seconds", "genres", "genre_distribution", "performance_by_model",
)  # fmt: skip
Query = Callable[[str], list[tuple[Any, ...]]]


def rows(query: str) -> list[tuple[Any, ...]]:
    """What a query of the test's own database finds; JSON comes as text."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def days_are_right(query: Query, json: Callable[[Any], Any] = lambda value: value) -> None:
    """Fails where the kept sums are not those of the sessions; `json` reads a JSON column as `query` gives it."""
    sessions = [
        dict(zip(FIELDS, row, strict=True)) for row in query(f"SELECT {', '.join(FIELDS)} FROM history_session")
    ]
    kept = query(f"SELECT {', '.join(KEY + SUMS)} FROM history_sessionday")
    assert _rounded({row[: len(KEY)]: row[len(KEY) :] for row in kept}) == _rounded(_days(sessions))
    shares = query("SELECT user_id, day, what, name, sessions, count, rated, quality FROM history_sessiondayshare")
    assert _rounded({row[:4]: row[4:] for row in shares}) == _rounded(_shares(sessions, json))


def _days(sessions: list[dict[str, Any]]) -> dict[Any, list[float]]:
    found: dict[Any, list[float]] = defaultdict(lambda: [0.0] * len(SUMS))
    for one in sessions:
        key = (one["user_id"], one["started_at"].astimezone(UTC).date(), *(one[name] for name in KEY[2:]))
        sane = one["metric_value"] if abs(one["metric_value"] or 0) < 1e100 else None
        told = one["outcome"] == "completed" and None not in (one["estimated_seconds"], one["total_seconds"])
        values = (
            1, one["fine_tuning_triggered"], one["examples_successful"], one["saved_count"], one["total_seconds"],
            one["cost"], one["cost"] is not None, one["quality_average"] is not None, one["quality_average"],
            sane is not None, sane, told, one["estimated_seconds"] if told else 0,
            one["total_seconds"] if told else 0,
        )  # fmt: skip
        found[key] = [sum(pair) for pair in zip(found[key], (float(value or 0) for value in values), strict=True)]
    return found


def _shares(sessions: list[dict[str, Any]], json: Callable[[Any], Any]) -> dict[Any, list[float]]:
    found: dict[Any, list[float]] = defaultdict(lambda: [0.0] * 4)
    for one in sessions:
        genres, spread = json(one["genres"]), json(one["genre_distribution"])
        told = [("genre", name, spread.get(name), None) for name in {*genres, *spread}]
        for name, of in json(one["performance_by_model"]).items():
            sane = of.get("average_quality") if abs(of.get("average_quality") or 0) < 1e100 else None
            told.append(("generator", name, of["wins"], sane))
        for what, name, count, quality in told:
            key = (one["user_id"], one["started_at"].astimezone(UTC).date(), what, name)
            values = (1, count or 0, quality is not None, quality or 0)
            found[key] = [sum(pair) for pair in zip(found[key], map(float, values), strict=True)]
    return found


def _rounded(rows: dict[Any, Any]) -> dict[Any, list[float]]:
    return {key: [round(float(value), 6) for value in values] for key, values in rows.items()}

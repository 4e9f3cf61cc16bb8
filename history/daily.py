"""What sessions add up to, day by day: written in the transaction of each session, so that totals over a million
sessions are read from some thousand rows.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, transaction

from history.models import Session

# Two figures of a run that diverged would be more than a column holds: those of 1e100 (common.numbers.ABSURD) and above
# are not added up.
LOCK = 7_205_911  # any number: whoever adds to these tables takes turns, in one order for all

DAYS = """
INSERT INTO history_sessionday (user_id, day, kind, recipe, modality, outcome, metric, currency, sessions, fine_tuning,
    examples, saved, seconds, cost, priced, rated, quality, measured, metric_sum, estimated, estimated_seconds,
    estimated_took)
SELECT user_id, (started_at AT TIME ZONE 'UTC')::date, kind, recipe, modality, outcome, metric, currency, count(*),
    count(*) FILTER (WHERE fine_tuning_triggered), coalesce(sum(examples_successful), 0), coalesce(sum(saved_count), 0),
    coalesce(sum(total_seconds), 0), coalesce(sum(cost), 0), count(cost), count(quality_average),
    coalesce(sum(quality_average), 0), count(metric_value) FILTER (WHERE abs(metric_value) < 1e100),
    coalesce(sum(metric_value) FILTER (WHERE abs(metric_value) < 1e100), 0),
    count(*) FILTER (WHERE guessed), coalesce(sum(estimated_seconds) FILTER (WHERE guessed), 0),
    coalesce(sum(total_seconds) FILTER (WHERE guessed), 0)
FROM (SELECT *, outcome = 'completed' AND estimated_seconds IS NOT NULL AND total_seconds IS NOT NULL AS guessed
    FROM history_session {which}) AS added
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (user_id, day, kind, recipe, modality, outcome, metric, currency) DO UPDATE SET
    sessions = history_sessionday.sessions + EXCLUDED.sessions,
    fine_tuning = history_sessionday.fine_tuning + EXCLUDED.fine_tuning,
    examples = history_sessionday.examples + EXCLUDED.examples, saved = history_sessionday.saved + EXCLUDED.saved,
    seconds = history_sessionday.seconds + EXCLUDED.seconds, cost = history_sessionday.cost + EXCLUDED.cost,
    priced = history_sessionday.priced + EXCLUDED.priced, rated = history_sessionday.rated + EXCLUDED.rated,
    quality = history_sessionday.quality + EXCLUDED.quality, measured = history_sessionday.measured + EXCLUDED.measured,
    metric_sum = history_sessionday.metric_sum + EXCLUDED.metric_sum,
    estimated = history_sessionday.estimated + EXCLUDED.estimated,
    estimated_seconds = history_sessionday.estimated_seconds + EXCLUDED.estimated_seconds,
    estimated_took = history_sessionday.estimated_took + EXCLUDED.estimated_took
"""

FINE_TUNING = """
UPDATE history_sessionday AS day SET fine_tuning = day.fine_tuning + 1 FROM history_session AS one
WHERE one.id = %s AND day.user_id = one.user_id AND day.day = (one.started_at AT TIME ZONE 'UTC')::date
    AND (day.kind, day.recipe, day.modality, day.outcome, day.metric, day.currency)
      = (one.kind, one.recipe, one.modality, one.outcome, one.metric, one.currency)
"""

SHARES = """
INSERT INTO history_sessiondayshare (user_id, day, what, name, sessions, count, rated, quality)
SELECT user_id, (started_at AT TIME ZONE 'UTC')::date, what, left(part.label, 200), count(*), coalesce(sum(number), 0),
    count(rating) FILTER (WHERE abs(rating) < 1e100), coalesce(sum(rating) FILTER (WHERE abs(rating) < 1e100), 0)
FROM (SELECT * FROM history_session {which}) AS added, LATERAL (
    SELECT 'genre', genre, (genre_distribution ->> genre)::numeric::bigint, NULL::float
    FROM (SELECT jsonb_array_elements_text(genres) UNION SELECT jsonb_object_keys(genre_distribution)) AS used (genre)
    UNION ALL
    SELECT 'generator', key, (value ->> 'wins')::numeric::bigint, (value ->> 'average_quality')::float
    FROM jsonb_each(performance_by_model)) AS part (what, label, number, rating)
GROUP BY 1, 2, 3, 4
ON CONFLICT (user_id, what, day, name) DO UPDATE SET
    sessions = history_sessiondayshare.sessions + EXCLUDED.sessions,
    count = history_sessiondayshare.count + EXCLUDED.count, rated = history_sessiondayshare.rated + EXCLUDED.rated,
    quality = history_sessiondayshare.quality + EXCLUDED.quality
"""


def add(session: Session) -> None:
    """Count a new session; in the transaction that made it."""
    _run("WHERE id = %s", [session.pk], shares=bool(session.genres or session.genre_distribution) or bool(
        session.performance_by_model))  # fmt: skip


def add_fine_tuning(session: Session) -> None:
    """Count that a session, recorded before, started a fine-tuning; in the transaction that says so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(FINE_TUNING, [session.pk])


def rebuild() -> None:
    """Add everything up anew, after sessions were written by other ways than those of this room."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            cursor.execute("DELETE FROM history_sessionday")
            cursor.execute("DELETE FROM history_sessiondayshare")
        _run("", [])


def _run(which: str, values: list[Any], *, shares: bool = True) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        cursor.execute(DAYS.format(which=which), values)
        if shares:
            cursor.execute(SHARES.format(which=which), values)

"""How long jobs have waited in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from common.wording import duration
from performance.alerts.signals.of_jobs import JOBS, whose
from performance.alerts.signals.reading import Signal, judged, rows_by
from performance.models import AlertRule

WAITING = f"""
SELECT rule.number, waiting.count, clock_timestamp() - first.queued_at, first.id, first.name
FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) AS rule(number, owner_id, model_id)
CROSS JOIN LATERAL (
    SELECT count(*), min(queued_at) AS oldest
    FROM {JOBS.format(columns="queued_at", which="status = 'queued' AND queued_at IS NOT NULL")} job
) waiting
LEFT JOIN LATERAL (
    SELECT id, name, queued_at
    FROM {JOBS.format(columns="id, name, queued_at", which="status = 'queued' AND queued_at = waiting.oldest")} job
    ORDER BY id LIMIT 1
) first ON true
"""


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    asked = whose(rules)
    found = rows_by(asked, WAITING)
    return [[_signal(rule, *found[key][0])] for rule, key in zip(rules, asked, strict=True)]


def _signal(rule: AlertRule, count: int, waited: timedelta | None, longest: int | None, name: str | None) -> Signal:
    """`longest` None: none waits."""
    minutes = waited.total_seconds() / 60 if waited else 0.0
    wrong, well = judged(minutes, rule)
    enough = count >= max(1, rule.minimum_count)
    of = f" of {rule.model}" if rule.model else ""
    return Signal(
        f"model:{rule.model_id}" if rule.model_id else "jobs",
        f"Jobs{of} wait long",
        f"{count:,} {'job waits' if count == 1 else 'jobs wait'}, the longest for {duration(60 * minutes)}.",
        wrong and enough,
        well or not enough,
        round(minutes, 1),
        mark=f"job {longest}" if longest else "",
        model_id=rule.model_id,
        evidence={"url": "/queue", "jobs": [{"id": longest, "name": name}] if longest else []},
    )

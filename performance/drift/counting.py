"""Which monitors have met as many predictions as make them look again.

What was counted stays counted: a round costs a place in the index of each model, and what came since the last one.
Predictions of the last minute are counted anew each time, since one that is written late has an older id.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from common.identifiers import least_at

SETTLED = timedelta(seconds=60)
NOTHING = UUID(int=0)
MOST = 20_000  # of one model in one round
# No more is counted than is wanted. The guard is for two nodes that count at the same time.
COUNT = """
WITH new AS (
    SELECT monitor.id, monitor.fresh, monitor.counted, monitor.every_predictions AS wanted, came.*
    FROM performance_driftmonitor monitor CROSS JOIN LATERAL (
        SELECT count(*) AS n, count(*) FILTER (WHERE id < %s) AS settled, max(id::text) FILTER (WHERE id < %s) AS last
        FROM (
            SELECT id FROM registry_prediction
            WHERE model_id = monitor.model_id AND id > coalesce(monitor.counted, monitor.seen, %s)
            ORDER BY id LIMIT least({most}, greatest(0, monitor.every_predictions - monitor.fresh))
        ) prediction
    ) came
    WHERE monitor.enabled AND monitor.every_predictions IS NOT NULL {which}
), kept AS (
    UPDATE performance_driftmonitor monitor SET fresh = new.fresh + new.settled, counted = new.last::uuid
    FROM new WHERE monitor.id = new.id AND new.settled > 0
        AND monitor.fresh = new.fresh AND monitor.counted IS NOT DISTINCT FROM new.counted
)
SELECT id FROM new WHERE fresh + n >= wanted
"""


def enough(monitor_id: int | None = None) -> list[int]:
    """The monitors, of all or of this one, that are to look because so many predictions came since their last look."""
    settled = least_at(timezone.now() - SETTLED)
    one = [] if monitor_id is None else [monitor_id]
    with connection.cursor() as cursor:
        sql = COUNT.format(most=MOST, which="AND monitor.id = %s" if one else "")
        cursor.execute(sql, [settled, settled, NOTHING, *one])
        return [pk for (pk,) in cursor.fetchall()]

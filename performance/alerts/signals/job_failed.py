"""How many jobs have failed lately."""

from __future__ import annotations

from collections.abc import Sequence

from performance.alerts.signals.of_jobs import JOBS, whose
from performance.alerts.signals.reading import Signal, judged, rows_by
from performance.models import AlertRule

NAMED = 5
MOST = 1000  # are counted
WHICH = f"""
    status = 'failed' AND completed_at > statement_timestamp() - rule.minutes * interval '1 minute'
    ORDER BY completed_at DESC LIMIT {MOST}
"""
FAILED = f"""
SELECT rule.number, failed.* FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::int[])
    AS rule(number, owner_id, model_id, minutes)
CROSS JOIN LATERAL (
    SELECT count(*), coalesce(max(id), 0), coalesce((array_agg(id ORDER BY completed_at DESC))[:{NAMED}], '{{}}'),
        coalesce((array_agg(name ORDER BY completed_at DESC))[:{NAMED}], '{{}}'),
        coalesce((array_agg(failure_code ORDER BY completed_at DESC))[:{NAMED}], '{{}}')
    FROM {JOBS.format(columns="id, name, failure_code, completed_at", which=WHICH)} job
) failed
"""


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    """All jobs of a rule's owner, or of its model; the hub's rules: everyone's."""
    asked = [(*pair, rule.minutes) for rule, pair in zip(rules, whose(rules), strict=True)]
    found = rows_by(asked, FAILED)
    return [[_signal(rule, *found[key][0])] for rule, key in zip(rules, asked, strict=True)]


def _signal(rule: AlertRule, count: int, newest: int, ids: list[int], names: list[str], codes: list[str]) -> Signal:
    """`ids`, `names` and `codes` are those of the last ones."""
    wrong, well = judged(count, rule)
    of = f" of {rule.model}" if rule.model else ""
    last = [{"id": pk, "name": name, "code": code} for pk, name, code in zip(ids, names, codes, strict=True)]
    return Signal(
        f"model:{rule.model_id}" if rule.model_id else "jobs",
        f"Jobs{of} fail",
        f"{count} {'job' if count == 1 else 'jobs'}{of} failed within {rule.minutes:,} minutes"
        + (f", the last with {last[0]['code']}." if last else "."),
        wrong,
        well,
        count,
        mark=f"job {newest}",
        model_id=rule.model_id,
        evidence={"url": "/jobs?status=failed", "jobs": last},
    )

"""A figure of models over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.http import urlencode

from common.wording import number
from performance.alerts.signals.reading import MODELS, Signal, judged, rows_by, scopes
from performance.models import AlertRule, MetricRecord
from performance.use.newest import Wanted, mark, newest

# The models that have the figure, and which version is in use since when. Other models are not looked at.
HAVE_IT = f"""
SELECT rule.number, model.id, model.name, champion.version_id, version.number, champion.since
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::text[]) AS rule(number, owner_id, model_id, metric)
CROSS JOIN LATERAL {MODELS} model
LEFT JOIN registry_alias champion ON champion.model_id = model.id AND champion.name = 'champion'
LEFT JOIN registry_modelversion version ON version.id = champion.version_id
WHERE EXISTS (SELECT FROM performance_metricrecord told
        WHERE told.model_id = model.id AND told.name = rule.metric AND told.source <> 'logged')
    OR EXISTS (SELECT FROM performance_metricrecord hour
        WHERE hour.model_id = model.id AND hour.name = rule.metric AND hour.source = 'logged' AND hour.bucket = 'hour')
ORDER BY rule.number, model.id
"""


@dataclass(frozen=True)
class Watched:
    """A model that has the figure. `version_id` None: no version is in use."""

    model_id: int
    name: str
    version_id: int | None
    version_number: int | None
    since: datetime | None


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    """Each model that has the figure."""
    asked = [(scope.owner_id, scope.model_id, rule.metric) for rule, scope in zip(rules, scopes(rules), strict=True)]
    rows = rows_by(asked, HAVE_IT)
    watched = {key: [Watched(*row) for row in there] for key, there in rows.items()}
    pairs = [(rule, one) for rule, key in zip(rules, asked, strict=True) for one in watched.get(key, [])]
    # Rules that differ in their limits alone want the same figures.
    most: dict[Wanted, int] = {}
    for rule, one in pairs:
        wanted = _wanted(rule, one)
        most[wanted] = max(rule.in_a_row, most.get(wanted, 0))
    figures = dict(zip(most, newest([replace(one, most=count) for one, count in most.items()]), strict=True))
    found: dict[int, list[Signal]] = {}
    for rule, one in pairs:
        found.setdefault(rule.pk, []).append(_signal(rule, one, figures[_wanted(rule, one)][: rule.in_a_row]))
    return [found.get(rule.pk, []) for rule in rules]


def _wanted(rule: AlertRule, one: Watched) -> Wanted:
    """The figures of the version in use, since it is that: what others did, or it did before, says nothing of now. Its
    evaluation is older and holds all the same."""
    return Wanted(
        one.model_id, rule.metric, 0, rule.source, rule.group, rule.minimum_count, one.version_id, one.since,
        one.version_id is not None,
    )  # fmt: skip


def _signal(rule: AlertRule, one: Watched, records: list[MetricRecord]) -> Signal:
    """`records` are the newest, newest first."""
    target, title = f"model:{one.model_id}", f"{rule.metric} of {one.name}"
    if not records:
        words = f"v{one.version_number} is in use now, and has no such figure yet." if one.version_id else ""
        return Signal(target, title, words, model_id=one.model_id, evidence={"version": one.version_id})
    first = records[0]
    verdicts = [judged(record.value, rule) for record in records]
    enough = len(records) >= rule.in_a_row
    return Signal(
        target,
        title,
        _words(rule, first, len(records)),
        wrong=enough and all(wrong for wrong, _ in verdicts),
        well=enough and all(well for _, well in verdicts),
        value=first.value,
        mark=f"figure {mark(first)}",
        model_id=one.model_id,
        evidence={
            "url": f"/performance/models/{one.model_id}?{urlencode({'name': rule.metric})}",
            "version": first.version_id,
            "figures": [
                {"value": record.value, "at": record.recorded_at.isoformat(), "source": record.source,
                 "count": record.count, "version": record.version_number, "estimated": record.estimated}
                for record in records
            ],
        },
    )  # fmt: skip


def _words(rule: AlertRule, first: MetricRecord, times: int) -> str:
    side = f"{rule.comparison} {number(rule.threshold)}"
    again = f", {times} times in a row" if times > 1 else ""
    how = ", estimated" if first.estimated else ""
    return f"{rule.metric} of v{first.version_number} is {number(first.value)}{how}, {side}{again}."

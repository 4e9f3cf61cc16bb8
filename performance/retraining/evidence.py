"""What a policy's triggers see now: a time that has come, new items, a figure beyond its limit, a drift.

Looking changes nothing. What is seen has a key, by which `performance.retraining.triggers` acts on it once. Policies
are looked at together: that takes some queries for each trigger, however many policies there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from common.wording import metric, moment_utc, number
from datasets.models import Dataset, Modality
from jobs.rules import Rule, missed, read_zone
from jobs.schedules import database_now
from performance.drift.pictures import without_picture
from performance.models import DriftCheck, MetricRecord, Retraining, RetrainingEvent, RetrainingPolicy
from performance.retraining import arrivals
from performance.retraining.lines import Line, datasets_of, lines_of
from performance.use.newest import Wanted, mark, newest

MOST_MISSED = 1000
# The newest verdict of each model and subject: by the index `drift_verdicts`.
VERDICTS = """
SELECT asked.number, verdict.id FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS asked(number, model_id, about)
CROSS JOIN LATERAL (
    SELECT id, moved FROM performance_driftcheck
    WHERE model_id = asked.model_id AND about = asked.about AND status = 'completed' AND moved IS NOT NULL
    ORDER BY id DESC LIMIT 1
) verdict
WHERE verdict.moved ORDER BY asked.number
"""


@dataclass(frozen=True)
class Seen:
    """Something that a policy acts on. `key` is the same as long as it is the same thing."""

    kind: str
    key: str
    words: str
    evidence: dict[str, Any] = field(default_factory=dict)


Policies = Sequence[RetrainingPolicy]
Found = dict[int, Seen]  # by policy


def seen(policy: RetrainingPolicy) -> list[Seen]:
    """What the policy's triggers see now and nobody acted on, those that come by themselves first."""
    return seen_all([policy], [policy])[policy.pk]


def seen_all(policies: Policies, counted: Policies) -> dict[int, list[Seen]]:
    """The same of several, by policy; new items of those that are `counted` alone, since that costs most."""
    every = {policy.pk: policy for policy in (*policies, *counted)}.values()
    lines = lines_of({policy.model_id for policy in every})
    looks = (drift(policies), threshold(policies, lines), new_items(counted, lines), schedule(policies))
    found = [(policy, look[policy.pk]) for policy in every for look in looks if policy.pk in look]
    done = _acted_on([(policy.model_id, one.key) for policy, one in found])
    there: dict[int, list[Seen]] = {policy.pk: [] for policy in every}
    for policy, one in found:
        if (policy.model_id, one.key) not in done:
            there[policy.pk].append(one)
    return there


def _acted_on(keys: list[tuple[int, str]]) -> set[tuple[int, str]]:
    """Of these (model, key) those that somebody acted on."""
    if not keys:
        return set()
    rows = RetrainingEvent.objects.filter(model__in={pk for pk, _ in keys}, key__in={key for _, key in keys})
    return set(rows.values_list("model", "key"))


def schedule(policies: Policies, now: datetime | None = None) -> Found:
    """The time of the rule that has come; one stands for all that were missed."""
    ruled = [policy for policy in policies if policy.next_at is not None and policy.rule is not None]
    if not ruled:
        return {}
    now = now or database_now()
    return {policy.pk: _due(policy, now) for policy in ruled if policy.next_at and policy.next_at <= now}


def _due(policy: RetrainingPolicy, now: datetime) -> Seen:
    assert policy.next_at is not None and policy.rule is not None
    due = policy.next_at
    later = missed(Rule.read(policy.rule, now), read_zone(policy.zone), due, now, MOST_MISSED)
    words = f"its schedule, for {moment_utc(due)}"
    words += f" and {number(later)} later {'time' if later == 1 else 'times'} that were missed" if later else ""
    evidence = {"due": due.isoformat(), "missed": later}
    return Seen(Retraining.Kind.SCHEDULE, f"schedule:{due.isoformat()}", words, evidence)


def new_items(policies: Policies, lines: dict[int, Line]) -> Found:
    """Enough new items since the data of the champion, or of the last training of this kind."""
    wanted = [policy for policy in policies if policy.new_items]
    datasets = datasets_of(wanted, lines) if wanted else {}
    asked = [policy for policy in wanted if policy.pk in datasets]
    places = [(policy.model_id, lines[policy.model_id].champion, datasets[policy.pk]) for policy in asked]
    since = arrivals.since_when(places)
    counts = arrivals.count_each([(place[2], one.at) for place, one in zip(places, since, strict=True)])
    return {
        policy.pk: _many(policy, datasets[policy.pk], count, one)
        for policy, count, one in zip(asked, counts, since, strict=True)
        if count >= (policy.new_items or 0)
    }


def _many(policy: RetrainingPolicy, dataset: Dataset, count: int, since: arrivals.Since) -> Seen:
    assert policy.new_items
    unit = "rows" if dataset.modality == Modality.TABLE else "items"
    words = f"{number(count)} new {unit} in '{dataset.name}' (from {number(policy.new_items)} on)"
    began = since.at and since.at.isoformat()
    evidence = {"dataset": dataset.pk, "count": count, "wanted": policy.new_items, "since": began}
    key = f"items:{dataset.pk}:{since.name}:{count // policy.new_items}"
    return Seen(Retraining.Kind.NEW_ITEMS, key, words, evidence)


def threshold(policies: Policies, lines: dict[int, Line]) -> Found:
    """The newest values of the watched figure of the champion, when all of them lie beyond the limit.

    Values from before the last training of this model count no more: they led to that one.
    """
    asked = [
        (policy, lines[policy.model_id])
        for policy in policies
        if policy.metric and policy.metric_value is not None and lines[policy.model_id].champion
    ]
    found = newest([_wanted(policy, line) for policy, line in asked])
    return {
        policy.pk: _beyond_limit(policy, rows)
        for (policy, _), rows in zip(asked, found, strict=True)
        if len(rows) == policy.metric_periods and all(_beyond(policy, row) for row in rows)
    }


def watched(policy: RetrainingPolicy) -> list[MetricRecord]:
    """The newest values of the figure that a policy watches, as `threshold` reads them, the newest first."""
    line = lines_of([policy.model_id])[policy.model_id]
    return newest([_wanted(policy, line)])[0] if policy.metric and line.champion else []


def _wanted(policy: RetrainingPolicy, line: Line) -> Wanted:
    assert line.champion is not None
    return Wanted(
        policy.model_id, policy.metric, policy.metric_periods, policy.metric_source, policy.metric_group,
        version_id=line.champion.pk, after=line.trained_at,
    )  # fmt: skip


def _beyond_limit(policy: RetrainingPolicy, found: list[MetricRecord]) -> Seen:
    words = f"{policy.metric} {metric(policy.metric, found[0].value)}, {policy.metric_direction} {_limit(policy)}"
    words += f", {policy.metric_periods} times in a row" if policy.metric_periods > 1 else ""
    evidence = {
        "metric": policy.metric, "group": policy.metric_group, "limit": policy.metric_value,
        "direction": policy.metric_direction, "records": [row.pk for row in found],
        "values": [row.value for row in found], "counts": [row.count for row in found],
        "version": found[0].version_id,
    }  # fmt: skip
    return Seen(Retraining.Kind.THRESHOLD, f"metric:{mark(found[0])}", words, evidence)


def drift(policies: Policies) -> Found:
    """The newest check of a kind that a policy asks for, when it moved and nobody acted on it."""
    asked = [(policy, kind) for policy in policies for kind in policy.drift_kinds]
    if not asked:
        return {}
    columns = [policy.model_id for policy, _ in asked], [kind for _, kind in asked]
    with connection.cursor() as cursor:
        cursor.execute(VERDICTS, [[*range(len(asked))], *columns])
        moved = [(asked[place][0], pk) for place, pk in cursor.fetchall()]
    done = _acted_on([(policy.model_id, f"drift:{pk}") for policy, pk in moved])
    new: dict[int, int] = {}
    for policy, pk in moved:
        if (policy.model_id, f"drift:{pk}") not in done:
            new.setdefault(policy.pk, pk)
    checks = DriftCheck.objects.in_bulk(new.values()) if new else {}
    return {key: _drifted(checks[pk]) for key, pk in new.items() if pk in checks}


def _drifted(check: DriftCheck) -> Seen:
    words = f"drift of {check.get_about_display().lower()}, seen by check {check.pk}"
    return Seen(Retraining.Kind.DRIFT, f"drift:{check.pk}", words, of_check(check))


def of_check(check: DriftCheck) -> dict[str, Any]:
    """What a retraining keeps of a check for drift: figures alone, since more people see it than the check."""
    findings = [without_picture(one) for one in check.findings[:5]]
    since = began(check).isoformat()
    return {"check": check.pk, "about": check.about, "message": check.message, "began": since, "findings": findings}


def began(check: DriftCheck) -> datetime:
    """Where a drift was found to begin: at the recent side of the first of the checks that moved, one after another,
    since the last training of the model."""
    rows = DriftCheck.objects.filter(
        model=check.model_id, about=check.about, version=check.version_id, status=check.status, pk__lte=check.pk
    )
    if still := rows.filter(moved=False).order_by("-pk").values_list("pk", flat=True).first():
        rows = rows.filter(pk__gt=still)
    trained = Retraining.objects.filter(model=check.model_id, job__isnull=False).order_by("-pk").first()
    if trained is not None:
        rows = rows.filter(created_at__gt=trained.created_at)
    first = rows.filter(moved=True).order_by("pk").values_list("recent_from", flat=True).first()
    return first or check.recent_from


def _beyond(policy: RetrainingPolicy, row: MetricRecord) -> bool:
    assert policy.metric_value is not None
    below = row.value < policy.metric_value
    wanted = below if policy.metric_direction == RetrainingPolicy.Direction.BELOW else row.value > policy.metric_value
    return wanted and (row.count or 0) >= policy.metric_count


def _limit(policy: RetrainingPolicy) -> str:
    return metric(policy.metric, policy.metric_value)

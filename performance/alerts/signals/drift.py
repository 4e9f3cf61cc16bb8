"""The verdicts of checks for drift."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from performance.alerts.signals.reading import MODELS, Signal, rows_by, scopes
from performance.drift.pictures import without_picture
from performance.models import AlertRule, DriftCheck

# The newest verdicts of each model, by what was looked at: by the index `drift_verdicts`. With the version in use, and
# since when.
NEWEST = f"""
SELECT rule.number, model.id, model.name, about.name, version.number, champion.since, newest.ids
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::int[], %s::int[])
    AS rule(number, owner_id, model_id, least, most)
CROSS JOIN LATERAL {MODELS} model
LEFT JOIN registry_alias champion ON champion.model_id = model.id AND champion.name = 'champion'
LEFT JOIN registry_modelversion version ON version.id = champion.version_id
CROSS JOIN unnest(%s::text[]) AS about(name)
CROSS JOIN LATERAL (SELECT array_agg(id ORDER BY id DESC) AS ids FROM (
    SELECT id FROM performance_driftcheck
    WHERE model_id = model.id AND about = about.name AND status = 'completed' AND moved IS NOT NULL
        AND (rule.least = 0 OR recent_count >= rule.least)
    ORDER BY id DESC LIMIT rule.most
) verdict) newest
WHERE newest.ids IS NOT NULL ORDER BY rule.number, model.id
"""
SHOWN = ("moved", "message", "recent_from", "recent_until")


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    """Each model that was checked, by what was looked at."""
    asked = [
        (scope.owner_id, scope.model_id, rule.minimum_count, rule.in_a_row)
        for rule, scope in zip(rules, scopes(rules), strict=True)
    ]
    found = rows_by(asked, NEWEST, DriftCheck.Subject.values)
    newest = [pks for rows in found.values() for *_, pks in rows]
    # What was found holds a picture of each column: of those that moved alone, and without the pictures.
    checks = DriftCheck.objects.only(*SHOWN).in_bulk({pk for pks in newest for pk in pks})
    first = _first([pks[0] for pks in newest if checks[pks[0]].moved])
    return [
        [
            _over(model, name, about, number, since, checks[pks[0]])
            or _signal(rule, model, name, about, [checks[pk] for pk in pks], first.get(pks[0], []))
            for model, name, about, number, since, pks in found.get(key, [])
        ]
        for rule, key in zip(rules, asked, strict=True)
    ]


def _over(
    model: int, name: str, about: str, number: int | None, since: datetime | None, newest: DriftCheck
) -> Signal | None:
    """That what was found was about another version than the one in use now, which is looked at anew; else None."""
    if since is None or newest.recent_until >= since:
        return None
    return Signal(
        f"model:{model}:{about}",
        _title(about, name),
        f"v{number} is in use since: what was found before was about the version before it.",
        well=True,
        mark=f"champion since {since.isoformat()}",
        model_id=model,
        evidence={"url": f"/performance/drift/checks/{newest.pk}", "check": newest.pk},
    )


def _title(about: str, name: str) -> str:
    return f"Drift of {DriftCheck.Subject(about).label.lower()} of {name}"


def _signal(
    rule: AlertRule, model: int, name: str, about: str, checks: list[DriftCheck], findings: list[object]
) -> Signal:
    """`checks` are the newest, newest first, and `findings` what the newest found."""
    newest = checks[0]
    enough = len(checks) >= rule.in_a_row
    label = DriftCheck.Subject(about).label
    return Signal(
        f"model:{model}:{about}",
        _title(about, name),
        newest.message or f"{label} are others than before.",
        wrong=enough and all(check.moved for check in checks),
        well=enough and not any(check.moved for check in checks),
        mark=f"check {newest.pk}",
        model_id=model,
        evidence={
            "url": f"/performance/drift/checks/{newest.pk}",
            "check": newest.pk,
            "recent_from": newest.recent_from.isoformat(),
            "recent_until": newest.recent_until.isoformat(),
            "findings": findings,
        },
    )


def _first(checks: list[int]) -> dict[int, list[object]]:
    """By check what moved most, in figures: pictures show values, which are for those who may see predictions."""
    rows = DriftCheck.objects.filter(pk__in=checks).values_list("pk", "findings__0", "findings__1", "findings__2")
    return {pk: [without_picture(one) for one in found if isinstance(one, dict)] for pk, *found in rows}

"""Versions whose files were found to be others than those that were stored."""

from __future__ import annotations

from collections.abc import Sequence

from performance.alerts.signals.reading import Signal, scopes
from performance.models import AlertRule
from registry.models import ModelVersion


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    rows = ModelVersion.objects.filter(damaged_at__isnull=False).exclude(status=ModelVersion.Status.DELETED)
    shown = ("number", "damaged_at", "damage", "model__name", "model__owner")
    damaged = [(version.model, _signal(version)) for version in rows.select_related("model").only(*shown)]
    if not damaged:
        return [[] for _ in rules]
    return [[signal for model, signal in damaged if scope.holds(model)] for scope in scopes(rules)]


def _signal(version: ModelVersion) -> Signal:
    assert version.damaged_at is not None
    return Signal(
        f"version:{version.pk}",
        f"Files of {version} are damaged",
        version.damage or f"Files of {version} are no longer those that were stored.",
        wrong=True,
        mark=version.damaged_at.isoformat(),
        model_id=version.model_id,
        evidence={"url": f"/versions/{version.pk}", "found_at": version.damaged_at.isoformat()},
    )

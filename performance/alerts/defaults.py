"""Rules that are there from the beginning. People may change them and turn them off; they are made once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from performance.models import AlertRule, Severity

Kind = AlertRule.Kind
OF_HUB: dict[str, dict[str, Any]] = {
    "failures": {
        "name": "Many jobs fail", "kind": Kind.JOB_FAILED, "threshold": 5, "clear_threshold": 2, "minutes": 60,
        "severity": Severity.WARNING,
    },
    "silence": {
        "name": "A machine is silent", "kind": Kind.NODE_SILENT, "threshold": 2, "clear_threshold": 1,
        "severity": Severity.CRITICAL,
    },
    "disk": {
        "name": "The disk is nearly full", "kind": Kind.DISK, "threshold": 90, "clear_threshold": 85,
        "severity": Severity.CRITICAL,
    },
    "damage": {"name": "Files of a version are damaged", "kind": Kind.ARTIFACT_DAMAGED, "severity": Severity.CRITICAL},
}  # fmt: skip
DRIFT = {"name": "Drift", "kind": Kind.DRIFT, "severity": Severity.WARNING}


def make_defaults() -> None:
    """Those of the hub, and one for drift of each person who has models. Safe to repeat, and to run twice at once."""
    known = set(AlertRule.objects.filter(owner=None).exclude(default="").values_list("default", flat=True))
    rules = [AlertRule(default=key, **values) for key, values in OF_HUB.items() if key not in known]
    owners = get_user_model().objects.filter(models__isnull=False).exclude(alert_rules__default="drift").distinct()
    rules += [AlertRule(owner=owner, default="drift", **DRIFT) for owner in owners]
    AlertRule.objects.bulk_create(rules, ignore_conflicts=True)

"""Whose jobs a rule counts, for all kinds that count jobs."""

from __future__ import annotations

from collections.abc import Sequence

from performance.alerts.signals.reading import scopes
from performance.models import AlertRule

# The jobs of a `rule(owner_id, model_id)` as `whose` has them; {which} narrows and cuts each part, which has its index.
JOBS = """(
    (SELECT {columns} FROM jobs_job WHERE model_id = rule.model_id AND {which})
    UNION ALL (SELECT {columns} FROM jobs_job WHERE rule.model_id IS NULL AND owner_id = rule.owner_id AND {which})
    UNION ALL (SELECT {columns} FROM jobs_job WHERE rule.model_id IS NULL AND rule.owner_id IS NULL AND {which})
)"""
NOBODY = -1


def whose(rules: Sequence[AlertRule]) -> list[tuple[int | None, int | None]]:
    """(owner, model) of each rule: all jobs of its model, if its owner still sees that, or of its owner; None and None
    for the hub's rules, which are about everyone's."""
    found: list[tuple[int | None, int | None]] = []
    for rule, scope in zip(rules, scopes(rules), strict=True):
        if rule.model is None:
            found.append((rule.owner_id, None))
        else:
            found.append((None, rule.model_id if scope.holds(rule.model) else NOBODY))
    return found

"""Machines that should be heard of and are not."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import F
from django.db.models.functions import Now

from common.wording import duration
from jobs.models import Node
from performance.alerts.signals.reading import Signal, judged
from performance.models import AlertRule


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    """Each machine that was not stopped in order."""
    nodes = list(Node.objects.filter(state=Node.State.ACTIVE).annotate(silent=Now() - F("heartbeat_at")))
    return [[_signal(rule, node) for node in nodes] for rule in rules]


def _signal(rule: AlertRule, node: Node) -> Signal:
    seconds = max(0.0, node.silent.total_seconds())  # type: ignore[attr-defined]
    wrong, well = judged(seconds / 60, rule)
    return Signal(
        f"node:{node.name}",
        f"Node {node.name} is silent",
        f"{node.name} on {node.host} was last heard of {duration(seconds)} ago. Its jobs go on elsewhere.",
        wrong,
        well,
        round(seconds / 60, 1),
        mark=node.heartbeat_at.isoformat(),
        evidence={"url": f"/nodes/{node.name}", "last_heard_of": node.heartbeat_at.isoformat()},
    )

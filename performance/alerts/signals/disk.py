"""The disk that holds the hub's files, which all machines share."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from django.conf import settings

from common.wording import size
from performance.alerts.signals.reading import Signal, judged
from performance.models import AlertRule


def look_all(rules: Sequence[AlertRule]) -> list[list[Signal]]:
    usage = shutil.disk_usage(settings.TRAINHUB_HOME)
    # As `df` has it: what only root may use counts as used.
    percent = 100 * (1 - usage.free / (usage.used + usage.free)) if usage.used + usage.free else 0.0
    evidence = {"free_bytes": usage.free, "used_bytes": usage.used, "total_bytes": usage.total}
    return [[_signal(rule, percent, evidence)] for rule in rules]


def _signal(rule: AlertRule, percent: float, evidence: dict[str, int]) -> Signal:
    wrong, well = judged(percent, rule)
    return Signal(
        "disk:home",
        "The hub's disk fills up",
        f"The disk of the hub's files is {percent:.0f} % full: {size(evidence['free_bytes'])} are free. Delete what is "
        "not needed, or give it more room; a full disk stops training.",
        wrong,
        well,
        round(percent, 1),
        mark=f"{percent:.0f} %",  # resolved by hand, it is heard of again when there is less room
        evidence=dict(evidence),
    )

"""What this room looks at again and again: each part is idempotent and guarded, so several nodes may do it at once."""

from __future__ import annotations

import logging
from collections.abc import Callable

from common.outages import database_is_away
from performance.alerts import evaluating
from performance.alerts.defaults import make_defaults
from performance.drift import monitors, streams, verbs
from performance.experiments import looking
from performance.notices import delivering
from performance.retraining import following, reporting, starting, triggers
from performance.use import rollup

log = logging.getLogger(__name__)

PARTS: tuple[Callable[[], object], ...] = (
    rollup.look,
    monitors.sweep,
    streams.sweep,
    verbs.sweep,
    looking.sweep,
    make_defaults,
    evaluating.evaluate_all,
    delivering.sweep,
    triggers.sweep,
    starting.sweep,
    reporting.sweep,
    following.sweep,
)


def run() -> int:
    """Carry out each part; how many failed. One that fails does not keep the others from their turn."""
    failed = 0
    for part in PARTS:
        try:
            part()
        except Exception as error:
            if database_is_away(error):
                raise
            failed += 1
            log.exception("%s.%s failed", part.__module__, part.__name__)
    return failed

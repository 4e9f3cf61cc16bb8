"""Doors for django-q2."""

from __future__ import annotations

import time

from django.conf import settings

from common.background import long_work
from performance import recording
from performance import sweep as sweeping
from performance.alerts import evaluating
from performance.drift import verbs
from performance.experiments import looking
from performance.notices import delivering
from performance.retraining import following, reporting, starting, triggers
from performance.use import rollup

_swept = [0.0]  # monotonic: when this process ended its last round
_alerts_rest = [0.0]  # … and until when it rests from looking at rules


def record_evaluations() -> int:
    """Take the evaluations of new versions; returns how many figures are new. A job that has ended may be one of a
    retraining, which goes on at once then."""
    new = recording.record_evaluations()
    following.sweep()
    return new


def sweep() -> int:
    """Look again at what this room must look at now and then; how many parts failed.

    One that ended just now was look enough: where a round takes longer than the next is asked for, they would pile up,
    and imports would wait behind all of them.
    """
    if time.monotonic() < _swept[0] + settings.LOOK_SECONDS / 2:
        return 0
    try:
        return sweeping.run()
    finally:
        _swept[0] = time.monotonic()


def run_drift_check(check_id: int) -> None:
    """Lay recent data of a model beside their reference."""
    with long_work():
        verbs.run(check_id)


def evaluate_alerts() -> int:
    """Look at every rule; returns how many alerts are new. It rests after for as long as that took: of many looks that
    are asked for most are left out, and the sweep finds what they would have."""
    began = time.monotonic()
    if began < _alerts_rest[0]:
        return 0
    try:
        return evaluating.evaluate_all()
    finally:
        _alerts_rest[0] = 2 * time.monotonic() - began


def send_delivery(key: str) -> bool:
    return delivering.send(key)


def look_at_retraining(model_id: int) -> int:
    """Act on what a model's retraining policy sees; how many retrainings were opened."""
    return triggers.look(model_id)


def start_retraining(retraining_id: int) -> None:
    """Make the job of a retraining."""
    with long_work():
        starting.start(retraining_id)


def report_challenger(retraining_id: int) -> None:
    """Compare what came of a retraining with the champion, and go on."""
    with long_work():
        reporting.report(retraining_id)
    following.advance(retraining_id)


def look_at_experiments() -> int:
    """Count and judge the experiments whose time has come; how many."""
    with long_work():
        return looking.run()


def reckon_use() -> int:
    """Reckon the figures of use that are due; returns how many periods."""
    with long_work():
        return rollup.run()

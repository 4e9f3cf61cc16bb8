"""Doors for django-q2."""

from __future__ import annotations

from history import recording


def record_runs() -> int:
    """Record the runs that ended; returns how many."""
    return recording.record_pending()

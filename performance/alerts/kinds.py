"""What can be watched, declared once: what each kind's numbers mean, and how they begin."""

from __future__ import annotations

from dataclasses import dataclass

from performance.models import AlertRule, Severity

Kind = AlertRule.Kind
# Colour and icon; the word stands beside them.
LOOKS = {
    Severity.INFO: ("azure", "info"),
    Severity.WARNING: ("yellow", "alert-triangle"),
    Severity.CRITICAL: ("red", "alert-triangle"),
}


@dataclass(frozen=True)
class About:
    """A kind: the unit of its numbers, where they begin, the fields of a rule that it reads, and what it looks at."""

    unit: str
    threshold: float | None
    clear_threshold: float | None
    fields: frozenset[str]
    help: str


def _fields(text: str) -> frozenset[str]:
    return frozenset(text.split())


ABOUT = {
    Kind.METRIC: About(
        "", None, None,
        _fields("model metric source group comparison threshold clear_threshold in_a_row minimum_count"),
        "A figure that an evaluation, a program or logged predictions left: of the version in production, and of any "
        "version while none is.",
    ),
    Kind.DRIFT: About("", None, None, _fields("model in_a_row minimum_count"), "The verdicts of checks for drift."),
    Kind.JOB_FAILED: About(
        "jobs", 5, 2, _fields("model threshold clear_threshold minutes"), "How many jobs have failed lately."
    ),
    Kind.JOBS_WAITING: About(
        "minutes", 60, 30, _fields("model threshold clear_threshold minimum_count"),
        "How long the job that waits longest in the queue has waited.",
    ),
    Kind.NODE_SILENT: About(
        "minutes", 2, 1, _fields("threshold clear_threshold"), "How long a machine has not been heard of."
    ),
    Kind.DISK: About(
        "%", 90, 85, _fields("threshold clear_threshold"), "How full the disk is that holds the hub's files."
    ),
    Kind.ARTIFACT_DAMAGED: About("", None, None, _fields("model"), "Files whose bytes are no longer those stored."),
}  # fmt: skip

"""Reading a job's log."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet

from jobs.models import Job, LogLine

MAX_LINES = 2_000
# From a level on: what is asked for → the levels that lines have.
LEVELS = {"warning": ("warning", "error", "critical"), "error": ("error", "critical")}
LEVEL_WORDS = {"warning": "Warnings and errors", "error": "Errors"}


def read(job: Job, *, after: int = 0, limit: int = 500, search: str = "", level: str = "") -> list[LogLine]:
    """Lines with a number above `after`, oldest first; with `search`, those that hold it in any case, and with a
    `level`, those of this level and worse ones. A log is as long as `jobs.progress.MAX_LOG_LINES` at most."""
    lines = _lines(job, search).filter(number__gt=after)
    if level in LEVELS:
        lines = lines.filter(level__in=LEVELS[level])
    return list(lines.order_by("number")[: max(1, min(limit, MAX_LINES))])


def tail(job: Job, limit: int = 200) -> list[LogLine]:
    """The last lines, oldest first."""
    return list(_lines(job, "").order_by("-number")[: max(1, min(limit, MAX_LINES))])[::-1]


def export(job: Job) -> Iterator[str]:
    """The whole log as text, line by line, with constant memory."""
    for line in _lines(job, "").order_by("number").iterator(chunk_size=2000):
        yield f"{line.at.isoformat(timespec='milliseconds')} {line.level:<7} {line.text}\n"


def _lines(job: Job, search: str) -> QuerySet[LogLine]:
    lines = LogLine.objects.filter(job=job)
    return lines.filter(text__icontains=search[:200]) if search else lines

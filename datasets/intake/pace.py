"""How far an import is, how fast, and how long it will take: as figures for programs, in words for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.wording import duration, size
from datasets.models import Import

SETTLED_SECONDS = 1.0  # before that a rate says nothing


@dataclass(frozen=True)
class Pace:
    """`rate` in bytes a second, `left` in seconds; None while they can't be told."""

    phase: str  # waiting, fetching, importing, ended
    rate: float | None = None
    left: float | None = None


def pace(source: Import) -> Pace:
    """By the bytes of the present phase: fetching them from elsewhere, then reading them."""
    if source.finished_at is not None:
        return Pace("ended")
    if source.status == Import.Status.QUEUED:
        return Pace("waiting")
    phase = "fetching" if source.is_to_be_fetched else "importing"
    began = source.started_at
    if fetched := source.origin.get("fetched"):
        began = max(began, datetime.fromisoformat(fetched)) if began else None
    if not began or not source.heartbeat_at or not source.bytes_done:
        return Pace(phase)
    seconds = (source.heartbeat_at - began).total_seconds()
    if seconds < SETTLED_SECONDS:
        return Pace(phase)
    rate = source.bytes_done / seconds
    return Pace(phase, rate, max(0, source.bytes_total - source.bytes_done) / rate)


def in_words(source: Import) -> str:
    """Fetching: 1.2 GiB of 4.0 GiB, 35 MiB/s, about 1 m 20 s left. Empty for one that waits or has ended."""
    known = pace(source)
    if known.phase in {"waiting", "ended"} or not source.bytes_total:
        return ""
    doing = {"fetching": "Fetching", "importing": "Reading"}[known.phase]
    words = [f"{doing}: {size(source.bytes_done)} of {size(source.bytes_total)}"]
    if known.rate:
        words.append(f"{size(known.rate)}/s")
        words.append(f"about {duration(max(1, round(known.left or 0)))} left")
    return ", ".join(words)


def percent(source: Import) -> int:
    """How much of the present phase is done, 0–100, by bytes."""
    if source.status == Import.Status.COMPLETED:
        return 100
    return int(100 * min(source.bytes_done, source.bytes_total) / source.bytes_total) if source.bytes_total else 0

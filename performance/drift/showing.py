"""Drift checks for pages: their state in a word, and what of their columns is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.utils import timezone

from common import wording
from engine.report import Line, Lines
from performance.models import DriftCheck, DriftMonitor

DRAWN = 6
LONGEST = 1000  # of a bar


@dataclass(frozen=True)
class Pair:
    """A category with its share of both sides, and how long the bars are, in thousandths."""

    label: str
    reference: str
    recent: str
    reference_length: float
    recent_length: float


@dataclass(frozen=True)
class Drawn:
    """A column whose sides are drawn side by side: as curves of `lines`, or else as bars of `pairs`."""

    title: str
    moved: bool
    lines: Lines | None
    pairs: list[Pair]


def state(check: DriftCheck) -> tuple[str, str, str]:
    """Colour, icon and word."""
    if check.status == DriftCheck.Status.COMPLETED:
        return {
            True: ("red", "alert-triangle", "Moved"),
            False: ("green", "check", "Nothing moved"),
            None: ("yellow", "hourglass", "Too little to say"),
        }[check.moved]
    return {
        DriftCheck.Status.QUEUED: ("azure", "hourglass", "Waiting"),
        DriftCheck.Status.RUNNING: ("blue", "activity", "Looking"),
        DriftCheck.Status.FAILED: ("red", "x", "Failed"),
    }[DriftCheck.Status(check.status)]


def reference(check: DriftCheck) -> str:
    if check.reference_data:
        return f"training data, {check.reference_data}"
    if check.reference_from is None or check.reference_from == check.reference_until:
        return "an earlier time"
    since, until = (timezone.localtime(at) for at in (check.reference_from, check.reference_until))
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"


def drawn(check: DriftCheck) -> list[Drawn]:
    """The columns that moved most, or else lie nearest to it."""
    found = [one for one in check.findings if one.get("picture")]
    return [_drawn(one) for one in found[:DRAWN]]


def in_words(monitor: DriftMonitor) -> str:
    """When a monitor looks, and at what."""
    if not monitor.enabled:
        return "not monitored"
    when = []
    if monitor.every_hours:
        when.append(f"every {monitor.every_hours:,} hours" if monitor.every_hours > 1 else "every hour")
    if monitor.every_predictions:
        when.append(f"every {monitor.every_predictions:,} predictions")
    *first, last = monitor.about
    what = f"{', '.join(first)} and {last}" if first else last
    said = f"{what} {' or '.join(when)}" if when else ""
    followed = "each outcome as it comes" if monitor.streams else ""
    return "; ".join(filter(None, (said, followed)))


def _drawn(one: dict[str, Any]) -> Drawn:
    picture = one["picture"]
    title = f"{one['column']}{', missing' if one['kind'] == 'missing' else ''}"
    if "edges" not in picture:
        return Drawn(title, one["moved"], None, _pairs(picture))
    edges = picture["edges"]
    middles = [round((low + high) / 2, 6) for low, high in pairwise(edges)]
    curves = [Line(name="reference", values=picture["reference"]), Line(name="recent", values=picture["recent"])]
    lines = Lines(title=title[:300], x=middles, x_label=one["column"][:300], y_label="share", lines=curves, lowest=0)
    return Drawn(title, one["moved"], lines, [])


def _pairs(picture: dict[str, Any]) -> list[Pair]:
    most = max([*picture["reference"], *picture["recent"], 1e-9])
    return [
        Pair(
            label,
            wording.percent(before),
            wording.percent(now),
            round(LONGEST * before / most, 1),
            round(LONGEST * now / most, 1),
        )
        for label, before, now in zip(picture["labels"], picture["reference"], picture["recent"], strict=True)
    ]

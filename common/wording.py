"""How numbers and times are said: the same on every page."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from django.utils import timezone

NOTHING = "—"
HUGE = 1e15  # from here on a number is said by its power of ten
SHARES = {
    "accuracy",
    "precision",
    "recall",
    "f1",
    "top5_accuracy",
    "detected",
    "coverage_80",
    "coverage_95",
    "confidence",
    "errors",
}


def duration(seconds: float | None) -> str:
    """1 h 04 m 12 s; — for None. Below ten seconds with one decimal, from a day on without seconds."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))} ms" if seconds > 0 else "0 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days} d {hour:02} h {minute:02} m"
    if hours:
        return f"{hours} h {minute:02} m {second:02} s"
    return f"{minute} m {second:02} s" if minute else f"{second} s"


def size(count: float | None) -> str:
    """Bytes with a binary unit: 3.4 MiB; — for None."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def number(value: float | None) -> str:
    """A figure with as many digits as tell something: 1,234 · 12.3 · 0.0123 · 1.2e-05; — for None."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "not a number"
    if abs(value) >= HUGE:
        return f"{value:.2e}"
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 0.001:
        return f"{value:.4g}"
    return f"{value:.2e}"


def brief(value: float | None) -> str:
    """A figure of which only the size matters, in three digits: 7.88 · 1,240; — for None."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) >= HUGE:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as 97.4 %; — for None."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return f"{100 * share:.1f} %" if abs(share) < HUGE else number(share)


def metric(name: str, value: float | None) -> str:
    """A metric's value as its name suggests: accuracies in percent, others as figures."""
    return percent(value) if is_share(name) and value is not None else number(value)


def is_share(name: str) -> bool:
    """Whether a metric of this name lies between 0 and 1 and reads best in percent."""
    return name.rpartition("/")[2] in SHARES


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """'just now', '5 min ago', 'in 3 h'; — for None. Coarse on purpose: the exact time stands beside it."""
    if moment is None:
        return NOTHING
    seconds = ((now or timezone.now()) - moment).total_seconds()
    distance = abs(seconds)
    if distance < 10:
        return "just now"
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (86400, "h", 3600), (30 * 86400, "d", 86400)):
        if distance < limit:
            text = f"{int(distance // length)} {unit}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return moment.strftime("%-d %b %Y")


def lasting(moment: datetime, now: datetime | None = None) -> str:
    """How long something has been so: 'for 14 s', 'since 2 Mar 2026'."""
    text = ago(moment, now)
    if text.endswith(" ago"):
        return f"for {text.removesuffix(' ago')}"
    return f"since {text}" if text[:1].isdigit() else "for some seconds"


def moment_utc(moment: datetime) -> str:
    """A time as it stands in sentences that everyone reads: 2026-03-01 14:00 UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day_and_time(moment: datetime) -> str:
    """A time in the zone that it carries: Mon 2 March 2026, 02:30 CET."""
    return f"{moment:%a %-d %B %Y, %H:%M %Z}"


def storable(text: str) -> str:
    """A text that PostgreSQL can hold: without NUL and without halves of characters."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")

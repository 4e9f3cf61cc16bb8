"""Calendar rules: when something repeats, in a time zone, and how that is said.

A time of day that a zone has twice (clocks go back) comes once, at its first; one that it has not (clocks go forward)
comes at the next moment that there is. Rules that count minutes, and cron rules for every hour, go by elapsed time.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from common.errors import InvalidInputError
from common.wording import number

KINDS = ("every", "daily", "weekdays", "weekly", "monthly", "cron")
DAYS = {
    "mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday", "sat": "Saturday",
    "sun": "Sunday",
}  # fmt: skip
FIELDS = {
    "every": {"minutes", "from"},
    "daily": {"at"},
    "weekdays": {"at"},
    "weekly": {"at", "days"},
    "monthly": {"at", "day"},
    "cron": {"expression"},
}
TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
MAX_MINUTES = 366 * 24 * 60
MAX_EXPRESSION = 100
ORDINAL = re.compile(r"\b[23]([123])th\b")  # as in 31th
SHORTEST_MONTH = 28
MINUTE = timedelta(minutes=1)
NOT_ZONES = {"localtime", "Factory", "posixrules"}


@dataclass(frozen=True)
class Rule:
    """One rule. What its kind does not use has its default; `read` makes it from JSON, `stored` is that JSON again."""

    kind: str
    minutes: int = 0
    start: datetime | None = None  # of `every`: the moment from which the minutes are counted
    at: str = ""  # HH:MM
    days: tuple[str, ...] = ()
    day: int = 0
    expression: str = ""

    @classmethod
    def read(cls, given: Any, now: datetime) -> Rule:
        """Read a rule, such as {"kind": "weekly", "days": ["mon"], "at": "02:30"}.

        InvalidInputError says what is wrong. `every` counts its minutes from `from`, or else from `now`.
        """
        kind = given.get("kind") if isinstance(given, dict) else None
        if kind not in KINDS:
            raise _wrong("The rule's kind is not known.", f"Choose one of: {', '.join(KINDS)}.")
        unknown = sorted(set(map(str, given)) - FIELDS[kind] - {"kind"})
        if unknown:
            raise _wrong(f"A rule of the kind '{kind}' has no '{unknown[0][:40]}'.", f"Use {_listed(FIELDS[kind])}.")
        if kind == "every":
            return cls(kind, minutes=_minutes(given.get("minutes")), start=_start(given.get("from"), now))
        if kind == "cron":
            return cls(kind, expression=_expression(given.get("expression")))
        at = _time(given.get("at"))
        if kind == "weekly":
            return cls(kind, at=at, days=_days(given.get("days")))
        return cls(kind, at=at, day=_day(given.get("day")) if kind == "monthly" else 0)

    def stored(self) -> dict[str, Any]:
        """As JSON; equal rules give equal JSON."""
        if self.kind == "every" and self.start:
            return {"kind": self.kind, "minutes": self.minutes, "from": self.start.isoformat()}
        if self.kind == "cron":
            return {"kind": self.kind, "expression": self.expression}
        rest = {"weekly": {"days": list(self.days)}, "monthly": {"day": self.day}}.get(self.kind, {})
        return {"kind": self.kind, "at": self.at, **rest}

    def next_after(self, after: datetime, zone: ZoneInfo) -> datetime | None:
        """The first time later than `after`, in UTC; None when there is none within 50 years."""
        return next(self.times_after(after, zone), None)

    def times_after(self, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """All times later than `after`, in UTC, each later than the one before."""
        if self.kind == "every":
            yield from self._counted(after)
            return
        last = after.astimezone(UTC)
        for moment in self._named(last, zone):
            if moment > last:
                last = moment
                yield moment

    def _counted(self, after: datetime) -> Iterator[datetime]:
        assert self.start is not None  # `read` gave it one
        step = timedelta(minutes=self.minutes)
        begun = self.start.astimezone(UTC)
        count = max(0, (after - begun) // step + 1)
        while True:
            yield begun + count * step
            count += 1

    def _named(self, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Moments from about `after` on, not always different ones."""
        expression = self._cron()
        if expression.split()[1] == "*":  # in each hour, be it one that comes twice
            yield from (moment.astimezone(UTC) for moment in CronSim(expression, after.astimezone(zone)))
            return
        # The calendar is walked without a zone, a second earlier so that this very minute is found, too: a moment
        # in the hour that comes twice is found by its first.
        local = after.astimezone(zone).replace(tzinfo=None, fold=0) - timedelta(seconds=1)
        for moment in CronSim(expression, local):
            if self._has_day(moment):
                yield _instant(moment, zone)

    def _cron(self) -> str:
        if self.kind == "cron":
            return self.expression
        hour, minute = self.at.split(":")
        days = {"weekdays": "1-5", "weekly": ",".join(str(list(DAYS).index(day) + 1) for day in self.days)}
        date = "*" if self.kind != "monthly" else str(self.day) if self.day <= SHORTEST_MONTH else "28-31"
        return f"{int(minute)} {int(hour)} {date} * {days.get(self.kind, '*')}"

    def _has_day(self, moment: datetime) -> bool:
        """Whether a monthly rule means this day: a day that the month has not is its last one."""
        if self.kind != "monthly" or self.day <= SHORTEST_MONTH:
            return True
        return moment.day == min(self.day, calendar.monthrange(moment.year, moment.month)[1])

    def __str__(self) -> str:
        """In words: 'every Monday and Thursday at 02:30'."""
        if self.kind == "every":
            return f"every {_span(self.minutes)}"
        if self.kind == "cron":
            return f"{_explained(self.expression)} ({self.expression})"
        if self.kind == "monthly":
            last = ", or on its last day," if self.day > SHORTEST_MONTH else ""
            return f"on day {self.day} of every month{last} at {self.at}"
        names = [DAYS[day] for day in self.days]
        days = {"daily": "every day", "weekdays": "Monday to Friday", "weekly": f"every {_listed(names)}"}
        return f"{days[self.kind]} at {self.at}"


def missed(rule: Rule, zone: ZoneInfo, after: datetime, until: datetime, most: int = 1000) -> int:
    """How many times of a rule lie later than `after` and not later than `until`; counts no further than `most`."""
    count = 0
    for moment in rule.times_after(after, zone):
        if moment > until or count == most:
            break
        count += 1
    return count


def read_zone(given: Any) -> ZoneInfo:
    """A time zone by its IANA name; InvalidInputError for what is none."""
    if not isinstance(given, str) or given not in zones():
        raise InvalidInputError(
            f"There is no time zone called '{str(given)[:60]}'.",
            "Use a name such as Europe/Berlin, America/New_York or UTC.",
            fields={"zone": ["unknown time zone"]},
        )
    return ZoneInfo(given)


@cache
def zones() -> frozenset[str]:
    """All names of time zones."""
    return frozenset(available_timezones() - NOT_ZONES)


def _instant(local: datetime, zone: ZoneInfo) -> datetime:
    """The moment of a local time: the first of two, or, where there is none, the next that there is."""
    moment = local.replace(tzinfo=zone)
    while (there := moment.astimezone(UTC)).astimezone(zone).replace(tzinfo=None) != local:
        local += MINUTE
        moment = local.replace(tzinfo=zone)
    return there


def _minutes(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= MAX_MINUTES:
        raise _wrong("The number of minutes is out of range.", f"Use a whole number from 1 to {MAX_MINUTES:,}.")
    return given


def _start(given: Any, now: datetime) -> datetime:
    if given is None:
        return now.astimezone(UTC).replace(second=0, microsecond=0)
    try:
        moment = datetime.fromisoformat(given)
        if moment.tzinfo is None or not 1970 <= moment.year <= 9000:
            raise ValueError("a moment without a zone, or far away")
        return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise _wrong("The moment from which to count is none.", "Write it as 2026-03-01T02:30:00Z.") from None


def _time(given: Any) -> str:
    found = TIME.fullmatch(given) if isinstance(given, str) else None
    if not found:
        raise _wrong("The time of day is missing or wrong.", "Write hours and minutes, such as 02:30.", "at")
    return f"{int(found[1]):02}:{found[2]}"


def _days(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not given or not all(day in DAYS for day in map(str, given)):
        raise _wrong("The days are missing or wrong.", f"Name one or more of: {', '.join(DAYS)}.", "days")
    return tuple(day for day in DAYS if day in given)


def _day(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= 31:
        raise _wrong("The day of the month is missing or wrong.", "Use a whole number from 1 to 31.", "day")
    return given


def _expression(given: Any) -> str:
    hint = "Write five fields: minute, hour, day of month, month, day of week, such as 30 2 * * MON-FRI."
    if not isinstance(given, str) or len(given) > MAX_EXPRESSION or not given.isascii():
        raise _wrong("The cron expression is missing or too long.", hint, "expression")
    expression = " ".join(given.upper().split())
    if len(expression.split()) != 5:
        raise _wrong("The cron expression does not have five fields.", hint, "expression")
    try:
        next(CronSim(expression, datetime(2000, 1, 1)))
    except CronSimError as error:
        if _date_never_comes(expression):
            raise _wrong("The cron expression names a date that never comes.", hint, "expression") from None
        reason = str(error).replace("Bad", "it has a wrong")
        raise _wrong(f"The cron expression can't be read: {reason}.", hint, "expression") from None
    except StopIteration:
        raise _wrong("The cron expression names a time that never comes.", hint, "expression") from None
    return expression


def _date_never_comes(expression: str) -> bool:
    """Whether the days and the months can each be read, and no such month has such a day."""
    minute, hour, day, month, weekday = expression.split()
    try:
        for other in (f"{minute} {hour} {day} * {weekday}", f"{minute} {hour} 1 {month} {weekday}"):
            next(CronSim(other, datetime(2000, 1, 1)))
    except (CronSimError, StopIteration):
        return False
    return True


def _explained(expression: str) -> str:
    """A cron expression in words. Where both are restricted, the day of the month *or* that of the week is meant."""
    words = CronSim(expression, datetime(2000, 1, 1)).explain()
    _, _, day, _, weekday = expression.split()
    if not day.startswith("*") and not weekday.startswith("*"):
        words = words.replace(" and on ", " or on ", 1)
    words = ORDINAL.sub(lambda found: found[0][:-2] + {"1": "st", "2": "nd", "3": "rd"}[found[1]], words)
    return f"{words[:1].lower()}{words[1:]}"


def _span(minutes: int) -> str:
    """90 minutes, 2 hours, hour, day."""
    for unit, length in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % length == 0:
            count = minutes // length
            return unit if count == 1 else f"{number(count)} {unit}s"
    raise AssertionError("minutes are whole")


def _listed(names: Any) -> str:
    """'a, b and c'; sets are sorted."""
    words = sorted(names) if isinstance(names, set) else list(names)
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))


def _wrong(message: str, hint: str, field: str = "") -> InvalidInputError:
    return InvalidInputError(message, hint, fields={f"rule.{field}" if field else "rule": [f"{message} {hint}"]})

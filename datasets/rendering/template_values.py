"""The values that a template works with: what a cell is, how it is compared and written, and the filters."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_BYTES = 64 << 10  # of what one template makes of one row, and of each value that it uses
MAX_DIGITS = 12
EMPTY = object()  # a value that is not there, on its way to `default`


class RowProblemError(Exception):
    """A row of which the template can make nothing; the message says why, as a sentence."""


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """The cell; EMPTY for what is not there: null, NaN, a text of white space alone."""
    value = row.get(name)
    if value is None or (isinstance(value, float) and math.isnan(value)) or _no_number(value):
        return EMPTY
    if isinstance(value, str) and not value.strip():
        return EMPTY
    return bounded(value, f"'{name[:100]}'")


def _no_number(value: Any) -> bool:
    return isinstance(value, Decimal) and value.is_nan()


def bounded(value: Any, name: str) -> Any:
    if isinstance(value, str | bytes | list | tuple) and len(value) > MAX_BYTES:
        raise RowProblemError(f"{name} is longer than {MAX_BYTES >> 10} KiB.")
    return value


def is_true(value: Any) -> bool:
    return value is not EMPTY and bool(value)


def equal(left: Any, right: Any) -> bool:
    if left is EMPTY or right is EMPTY:
        return left is right
    left, right = _comparable(left, right)
    return bool(left == right)


def ordered(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """Nothing is above or below what is not there."""
    if left is EMPTY or right is EMPTY:
        return False
    left, right = _comparable(left, right)
    try:
        return bool(compare(left, right))
    except (TypeError, ArithmeticError):
        shown_both = f"{str(left)[:40]!r}, {str(right)[:40]!r}"
        raise RowProblemError(
            f"{_kind(left).capitalize()} can't be compared with {_kind(right)}: {shown_both}."
        ) from None


def _comparable(left: Any, right: Any) -> tuple[Any, Any]:
    """Times are compared with texts as they are written."""
    for times, other in ((left, right), (right, left)):
        if isinstance(times, date | time) and isinstance(other, str):
            return (shown(left, ""), shown(right, ""))
    return left, right


def _kind(value: Any) -> str:
    return "a number" if isinstance(value, int | float | Decimal) else "a text" if isinstance(value, str) else "a value"


def shown(value: Any, name: str) -> str:
    """A value as text. RowProblemError for what is not there, and for what has no text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime():
            return value.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case list() | tuple():
            return _join(value, name, ", ")
    if value is EMPTY:
        hint = f'{name[1:-1]}|default("…")' if name.startswith("'") else 'default("…")'
        raise RowProblemError(f"{name.capitalize() if name == 'a value' else name} is empty; {hint} would fill it.")
    raise RowProblemError(f"{name} holds {type(value).__name__}, which can't be written as text.")


def _join(value: Any, name: str, separator: str = ", ") -> str:
    """A list as text, its empty members left out; never longer than the limit."""
    if not isinstance(value, list | tuple):
        return shown(value, name)
    pieces: list[str] = []
    length = 0
    for member in value:
        if member is None or isinstance(member, list | tuple):
            continue
        pieces.append(shown(member, name))
        length += len(pieces[-1]) + len(separator)
        if length > MAX_BYTES:
            raise RowProblemError(f"{name} is longer than {MAX_BYTES >> 10} KiB.")
    return separator.join(pieces)


def _rounded(value: Any, name: str, digits: int = 0) -> Any:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise RowProblemError(f"{name} is no number, so it can't be rounded: {shown(value, name)[:40]!r}.")
    try:
        rounded = round(value, digits)
    except InvalidOperation:  # a decimal keeps 28 figures; this one would need more
        raise RowProblemError(f"{name} has too many figures to be rounded to {digits} places.") from None
    return int(rounded) if digits == 0 else rounded


def _truncated(value: Any, name: str, length: int) -> str:
    text = shown(value, name)
    return text if len(text) <= length else f"{text[: max(0, length - 1)].rstrip()}…"


@dataclass(frozen=True)
class Filter:
    """What a filter does, the arguments it takes, and an example for whoever got them wrong."""

    apply: Callable[..., Any]
    example: str
    takes: tuple[type, ...] = ()
    required: int = 0
    most: int = MAX_BYTES  # of a number
    takes_empty: bool = False

    def wrong(self, given: list[Any]) -> str:
        if not self.required <= len(given) <= len(self.takes):
            return "a filter has too many or too few values in its brackets."
        for value, kind in zip(given, self.takes, strict=False):
            if isinstance(value, bool) or not isinstance(value, kind):
                return f"{value!r} can't stand in the brackets of this filter."
            if isinstance(value, int) and not 0 <= value <= self.most:
                return f"the number in the brackets must be from 0 to {self.most:,}."
        return ""


FILTERS: dict[str, Filter] = {
    "trim": Filter(lambda value, name: shown(value, name).strip(), "Write {{ column|trim }}."),
    "upper": Filter(lambda value, name: shown(value, name).upper(), "Write {{ column|upper }}."),
    "lower": Filter(lambda value, name: shown(value, name).lower(), "Write {{ column|lower }}."),
    "title": Filter(lambda value, name: shown(value, name).title(), "Write {{ column|title }}."),
    "capitalize": Filter(lambda value, name: shown(value, name).capitalize(), "Write {{ column|capitalize }}."),
    "round": Filter(_rounded, "Write {{ column|round }} or {{ column|round(2) }}.", (int,), most=MAX_DIGITS),
    "default": Filter(
        lambda value, name, other: other if value is EMPTY else value,
        'Write {{ column|default("unknown") }}.', (str | int | float,), 1, takes_empty=True,
    ),
    "truncate": Filter(_truncated, "Write {{ column|truncate(200) }}.", (int,), 1),
    "join": Filter(_join, 'Write {{ column|join(", ") }}.', (str,)),
}  # fmt: skip

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge,
}  # fmt: skip

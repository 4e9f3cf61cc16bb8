"""What type a column has, found in all of its cells, and the cells as that type.

A column keeps every type that fits all cells seen so far; columns of texts are read twice, so that the first
thousand rows can't mislead. Works on Arrow's arrays; runs in the sandbox.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from datasets.formats.dialects import MISSING

_EXPONENT = r"(?:[eE][+-]?\d{1,3})?"
_WHOLE, _GROUPED = r"0|[1-9]\d*", r"[1-9]\d{0,2}(?:,\d{3})+"
_PATTERNS = {
    "yes_no": r"(?i)^(?:true|false|yes|no)$",
    "whole": r"^[+-]?(?:0|[1-9]\d{0,17})$",
    "point": rf"^[+-]?(?:(?:{_WHOLE}|{_GROUPED})?\.\d+|(?:{_WHOLE}|{_GROUPED})\.?){_EXPONENT}$",
    "comma": rf"^[+-]?(?:0|[1-9]\d*|[1-9]\d{{0,2}}(?:\.\d{{3}})+)(?:,\d+)?{_EXPONENT}$",
    "iso": r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?$",
    "iso_zone": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})$",
}
_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_DATES = {
    "%Y/%m/%d": rf"\d{{4}}/{_MONTH}/{_DAY}", "%d.%m.%Y": rf"{_DAY}\.{_MONTH}\.\d{{4}}",
    "%d-%m-%Y": rf"{_DAY}-{_MONTH}-\d{{4}}", "%m/%d/%Y": rf"{_MONTH}/{_DAY}/\d{{4}}",
    "%d/%m/%Y": rf"{_DAY}/{_MONTH}/\d{{4}}", "%Y.%m.%d": rf"\d{{4}}\.{_MONTH}\.{_DAY}",
}  # fmt: skip
_HOURS = {"": "", " %H:%M": r" \d{1,2}:\d{2}", " %H:%M:%S": r" \d{1,2}:\d{2}:\d{2}"}
for _date, _look in _DATES.items():
    for _hour, _clock in _HOURS.items():
        _PATTERNS[_date + _hour] = f"^{_look}{_clock}$"
_MISSING = pa.array(sorted(MISSING))
_TIME_NAME = re.compile(r"(?:^|_|\b)(?:time|timestamp|date|datetime|ts|epoch|unix)", re.IGNORECASE)
_SECONDS = (100_000_000, 4_102_444_800)  # 1973 to 2100

TYPES = {
    "whole": pa.int64(), "number": pa.float64(), "yes_no": pa.bool_(), "date": pa.timestamp("us"),
    "text": pa.string(), "category": pa.string(),
}  # fmt: skip


@dataclass
class Guess:
    """What one column of texts may be."""

    name: str
    fits: list[str] = field(default_factory=lambda: list(_PATTERNS))
    seen: int = 0  # cells that are not missing
    low: int | None = None
    high: int | None = None

    @property
    def fraction_commas(self) -> bool:
        """Whether its commas can be nothing but decimal ones."""
        return self.seen > 0 and "comma" in self.fits and "point" not in self.fits

    def add(self, cells: pa.Array) -> None:
        """Keep the types that fit these cells, too."""
        if not self.fits and self.seen:
            return
        values = present(cells)
        if not len(values):
            return
        self.seen += len(values)
        self.fits = [name for name in self.fits if pc.all(pc.match_substring_regex(values, _PATTERNS[name])).as_py()]
        self.fits = [name for name in self.fits if not _is_date(name) or _parses(values, name)]
        if "whole" in self.fits:
            bounds = pc.min_max(_whole(values)).as_py()
            self.low = bounds["min"] if self.low is None else min(self.low, bounds["min"])
            self.high = bounds["max"] if self.high is None else max(self.high, bounds["max"])

    def choose(self, comma: bool) -> str:
        """The format of its cells. `comma`: whether the table writes decimals with a comma."""
        if not self.seen:
            return "text"
        if "whole" in self.fits and self._is_time():
            return "seconds" if (self.high or 0) < _SECONDS[1] else "milliseconds"
        ambiguous = {"point", "comma"} <= {*self.fits} and "whole" not in self.fits
        order = ["yes_no", "whole", *(["comma", "point"] if comma and ambiguous else ["point", "comma"])]
        order += ["iso", "iso_zone"]
        order += [name for name in _PATTERNS if "%" in name and not (comma and name.startswith("%m/"))]
        order += [name for name in _PATTERNS if name.startswith("%m/")]
        return next((name for name in order if name in self.fits), "text")

    def _is_time(self) -> bool:
        low, high = self.low or 0, self.high or 0
        scale = 1000 if low > _SECONDS[1] else 1
        return bool(_TIME_NAME.search(self.name)) and _SECONDS[0] * scale <= low and high <= _SECONDS[1] * scale


def type_of(format: str) -> str:
    """The type that people see: whole, number, yes_no, date or text."""
    if format in {"whole", "yes_no", "text"}:
        return format
    return "number" if format in {"point", "comma"} else "date"


def format_for(type: str, guess: Guess, comma: bool) -> str:
    """The format of a column whose type a person named."""
    chosen = guess.choose(comma)
    if type in {"text", "category"}:
        return "text"
    if type == type_of(chosen):
        return chosen
    if type == "number":
        return "comma" if comma else "point"
    if type == "date":
        return "seconds" if chosen == "whole" else "iso"
    return type


def present(cells: pa.Array) -> pa.Array:
    """Trimmed cells, without those that stand for nothing."""
    trimmed = pc.utf8_trim_whitespace(cells)
    return trimmed.filter(pc.invert(pc.is_in(trimmed, value_set=_MISSING, skip_nulls=False))).drop_null()


def converted(cells: pa.Array, format: str) -> tuple[pa.Array, int]:
    """The cells as their type, and how many of them could not be read as it and are missing now."""
    if format == "text":
        return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells), 0
    trimmed = pc.utf8_trim_whitespace(cells)
    there = pc.invert(pc.is_in(trimmed, value_set=_MISSING))
    pattern = _PATTERNS["whole" if format in {"seconds", "milliseconds"} else format]
    right = pc.and_(there, pc.match_substring_regex(trimmed, pattern))
    wrong = pc.sum(pc.and_(there, pc.invert(right))).as_py() or 0
    values = pc.if_else(right, trimmed, pa.scalar(None, pa.string()))
    try:
        return _parsed(values, format), wrong
    except pa.ArrowInvalid:  # such as the 30th of February, in a column that a person called one of dates
        single = [_one(value, format) for value in values]
        made = pa.array(single, TYPES[type_of(format)])
        return made, wrong + made.null_count - values.null_count


def _one(value: pa.Scalar, format: str) -> object:
    try:
        return _parsed(pa.array([value.as_py()], pa.string()), format)[0].as_py()
    except pa.ArrowInvalid:
        return None


def _parsed(values: pa.Array, format: str) -> pa.Array:
    match format:
        case "yes_no":
            made = pc.is_in(pc.utf8_lower(values), value_set=pa.array(["true", "yes"]))
            return pc.if_else(pc.is_null(values), pa.scalar(None, pa.bool_()), made)
        case "whole":
            return _whole(values)
        case "point":
            return pc.cast(_plain(pc.replace_substring(values, ",", "")), pa.float64())
        case "comma":
            points = pc.replace_substring(pc.replace_substring(values, ".", ""), ",", ".")
            return pc.cast(_plain(points), pa.float64())
        case "iso":
            return pc.cast(values, pa.timestamp("us"))
        case "iso_zone":
            return pc.cast(pc.cast(values, pa.timestamp("us", "UTC")), pa.timestamp("us"))
        case "seconds":
            return pc.cast(pc.cast(_whole(values), pa.timestamp("s")), pa.timestamp("us"))
        case "milliseconds":
            return pc.cast(pc.cast(_whole(values), pa.timestamp("ms")), pa.timestamp("us"))
        case _:
            return pc.strptime(values, format=format, unit="us")


def _whole(values: pa.Array) -> pa.Array:
    return pc.cast(_plain(values), pa.int64())


def _plain(values: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(values, r"^\+", "")


def _is_date(format: str) -> bool:
    return "%" in format or format.startswith("iso")


def _parses(values: pa.Array, format: str) -> bool:
    try:
        _parsed(values, format)
    except pa.ArrowInvalid:
        return False
    return True

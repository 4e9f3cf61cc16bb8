"""From two sides of columns to a verdict: what moved, by which test, and what that rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from performance.drift import pictures, reading, words
from performance.drift.columns import DISTANCES, LEAST, Found, Kind, compare
from performance.models import DriftCheck

PICTURES = 12  # of the columns that moved most, whether or not they moved for sure
KEPT = 200  # tests of which the evidence is kept


@dataclass
class Said:
    """`moved` None: there is too little to say."""

    reference_count: int
    recent_count: int
    moved: bool | None = None
    message: str = ""
    hint: str = ""
    findings: list[dict[str, Any]] = field(default_factory=list)


def judge(check: DriftCheck, reference: reading.Columns, recent: reading.Columns) -> Said:
    """What is to be thought of both sides. A stream that saw a change has the last word: see `streams`."""
    said = Said(_length(reference), _length(recent))
    strange = check.reference_data_id is not None and not reference and said.recent_count >= LEAST
    if min(said.reference_count, said.recent_count) < LEAST and not strange:
        said.message = words.too_few(check, said.reference_count, said.recent_count)
        said.hint = "Check again when more has been logged."
    else:
        _tested(check, said, reference, recent)
    if check.evidence:
        said.moved, said.message = True, f"{check.evidence['words']} {said.message}"
    if said.moved:
        said.hint = words.NEXT[check.about]
    return said


def _tested(check: DriftCheck, said: Said, reference: reading.Columns, recent: reading.Columns) -> None:
    before, now, kinds = reading.typed(reference, recent)
    for name in reading.SHARES & set(kinds) if check.about != DriftCheck.Subject.INPUTS else ():
        kinds[name], before[name], now[name] = Kind.SHARE, reference[name], recent[name]
        if not any(before[name]) and not any(now[name]) and len(kinds) > 1:
            del kinds[name]
    found = compare(before, now, kinds)
    if not found:
        said.message = words.nothing_in_common(check, reference, recent)
        said.hint = "Log inputs with the names that they had in training." if check.about == "inputs" else ""
        return
    moved = [one for one in found if one.moved(check.alpha) and _matters(check, one, before, now)]
    first = [*moved, *(one for one in found if one not in moved)]
    said.moved = bool(moved)
    said.message = words.verdict(check.about, found, moved, words.sides(check, said.reference_count, said.recent_count))
    said.findings = [
        _finding(one, one in moved, before, now, place < PICTURES) for place, one in enumerate(first[:KEPT])
    ]


def _matters(check: DriftCheck, one: Found, before: reading.Columns, now: reading.Columns) -> bool:
    """Fewer or smaller errors are a change that nobody needs to be told of."""
    if check.about != DriftCheck.Subject.ERRORS or one.kind not in (Kind.SHARE, Kind.NUMBER):
        return True
    return abs(_mean(now[one.column])) > abs(_mean(before[one.column]))


def _finding(one: Found, moved: bool, before: reading.Columns, now: reading.Columns, drawn: bool) -> dict[str, Any]:
    """A test as it is kept: what `Found` has, and the shares of both sides, from which pages draw."""
    picture = pictures.of_column(one.kind, before[one.column], now[one.column]) if drawn else {}
    return asdict(one) | {
        "threshold": one.threshold, "distance_name": DISTANCES[one.kind], "moved": moved, "picture": picture,
    }  # fmt: skip


def _mean(values: Sequence[Any]) -> float:
    there = [float(value) for value in values if value is not None]
    return sum(there) / max(1, len(there))


def _length(columns: reading.Columns) -> int:
    return max(map(len, columns.values()), default=0)

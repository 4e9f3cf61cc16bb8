"""What a check found, in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from performance.drift.columns import DISTANCES, LEAST, Found, Kind
from performance.models import DriftCheck

SHOWN = 3
NAMES = {"inputs": ("input", "inputs"), "predictions": ("figure of the answers", "figures of the answers"),
         "errors": ("figure of the errors", "figures of the errors")}  # fmt: skip
NEXT = {
    "inputs": "Compare both sides below. If the change is real and will last, retrain with newer data.",
    "predictions": "See whether the inputs have moved too. If the answers are worse, retrain with newer data.",
    "errors": "Retrain with newer data, or go back to an earlier version that does better.",
}
SYMBOL = {"Kolmogorov–Smirnov": "D", "chi-square": "χ²", "maximum mean discrepancy": "MMD²"}


def verdict(about: str, found: Sequence[Found], moved: Sequence[Found], sides: str) -> str:
    """Which columns moved, by what, and what that rests on. `sides` says what was laid beside what."""
    one, many = NAMES[about]
    if not moved:
        nearest = max(found, key=lambda each: each.distance / each.threshold)
        tests = f"none of {len(found):,} tests is" if len(found) > 1 else "the one test is not"
        return f"Nothing has moved: {tests} both sure and large enough. {sides} The nearest: {evidence(nearest)}."
    names = list(dict.fromkeys(each.column for each in moved))
    if len(names) == 1:
        return f"1 {one} has moved: {evidence(moved[0])}. {sides}"
    others = ", ".join(map(_quoted, names[1:SHOWN])) + (" and others" if len(names) > SHOWN else "")
    return f"{len(names):,} {many} have moved, most of all {evidence(moved[0])}. Then {others}. {sides}"


def evidence(one: Found) -> str:
    """The test, its certainty, the distance and from where it matters."""
    what = _quoted(one.column) if one.kind != Kind.MISSING else f"missing values of {_quoted(one.column)}"
    symbol = SYMBOL.get(one.test)
    statistic = f"{one.test} {symbol} = {one.statistic:.3g}" if symbol else one.test
    unit = " standard deviations" if one.kind == Kind.NUMBER else ""
    name = DISTANCES[one.kind].removesuffix(" in standard deviations")
    return (
        f"{what} ({statistic}, corrected p {p_value(one.corrected)}; {name} {one.distance:.2g}{unit}, "
        f"and {one.threshold:g} matters)"
    )


def p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"= {p:.2g}"


def sides(check: DriftCheck, reference: int, recent: int) -> str:
    """What was laid beside what, with the sizes of both samples."""
    rows = "outcomes" if check.about == DriftCheck.Subject.ERRORS else "predictions"
    if check.reference_data_id:
        return f"{recent:,} recent {rows} beside {reference:,} rows of {check.reference_data}."
    return f"{recent:,} recent {rows} beside {reference:,} of an earlier time."


def too_few(check: DriftCheck, reference: int, recent: int) -> str:
    """Why nothing can be said: how many are missing on which side."""
    rows = "outcomes" if check.about == DriftCheck.Subject.ERRORS else "predictions"
    said = []
    if recent < LEAST:
        said.append(f"{recent:,} recent {rows}, {LEAST - recent:,} more are needed")
    if reference < LEAST:
        there = f"rows of {check.reference_data}" if check.reference_data_id else f"{rows} of an earlier time"
        said.append(f"{reference:,} {there}, {LEAST - reference:,} more are needed")
    return f"Too little to say: there are {'; and '.join(said)}."


def nothing_in_common(check: DriftCheck, reference: Collection[str], recent: Collection[str]) -> str:
    """Why nothing can be said although there is enough."""
    if not recent or not (reference or check.reference_data_id):
        where = "reference" if recent else "recent window"
        return f"There is nothing to compare: the {where} holds no {check.about} that could be."
    if set(reference) & set(recent):
        return f"There is nothing to compare: no column has {LEAST} values on both sides."
    other = str(check.reference_data) if check.reference_data_id else f"the earlier ones ({_some(reference)})"
    return f"There is nothing to compare: {other} has none of the columns that are logged now ({_some(recent)})."


def _some(names: Collection[str]) -> str:
    return ", ".join(map(_quoted, list(names)[:2])) + (" …" if len(names) > 2 else "")


def _quoted(name: str) -> str:
    return f"'{name[:60]}'"

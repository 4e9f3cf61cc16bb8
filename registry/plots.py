"""Where the lines, bars and cells of a chart lie. Templates draw them as SVG; browsers compute nothing.

The field of a chart is 1000 wide and high and is stretched to its place on the page; strokes and words are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common import ticks, wording
from common.numbers import sane
from engine.report import Bars, Line, Lines, Matrix

FIELD = 1000
TICKS = 5
CELL = 34  # of a matrix, in pixels
SHADES = 10
EDGE = 3.0  # percent of the width: a label nearer to an end than this stays inside
SHORT = 14  # letters of a label beside a matrix
NOTHING = "–"
Values = Sequence[float | None]


@dataclass(frozen=True)
class Curve:
    """A line of the chart: an SVG path in the field, and the number of its look (colour and dashes). `points` is the
    path of values that stand alone between gaps, where no line leads to."""

    name: str
    path: str
    look: int
    dots: bool = False
    points: str = ""
    dashed: bool | None = None


@dataclass(frozen=True)
class Area:
    """A band between two lines, or a stretch of the x axis."""

    name: str
    path: str
    look: int = 0


@dataclass(frozen=True)
class Tick:
    """A label of the axis below the field: its place in percent of the width, and which end of it stands there."""

    at: float
    label: str
    anchor: str


@dataclass(frozen=True)
class Plot:
    """A chart of curves; the labels of its upright axis from the top down, evenly spaced. The other axis has ticks
    where its x are numbers, else `x_labels` from left to right, evenly spaced."""

    curves: list[Curve]
    bands: list[Area]
    stretches: list[Area]
    diagonal: str
    y_labels: list[str]
    x_labels: list[str]
    x_ticks: list[Tick]
    columns: list[str]
    rows: list[list[str]]
    left_out: int  # earlier places that the table has not

    @property
    def grid(self) -> list[float]:
        """Heights of the lines across the field."""
        return [FIELD * place / (len(self.y_labels) - 1) for place in range(len(self.y_labels))]


@dataclass(frozen=True)
class Bar:
    """One bar: where it begins and how long it is, in thousandths of the width."""

    label: str
    value: str
    start: float
    length: float
    negative: bool


@dataclass(frozen=True)
class Cell:
    """A cell of a matrix: its corner in pixels, what stands in it, and its shade from 0 to 10 by its row's share."""

    x: int
    y: int
    text: str
    shade: int
    title: str
    right: bool


@dataclass(frozen=True)
class Grid:
    """A matrix as a picture, in pixels."""

    cells: list[Cell]
    rows: list[tuple[int, str]]
    columns: list[tuple[int, str]]
    left: int
    top: int
    width: int
    height: int


def figure(value: object) -> str:
    """A value in words; – for what is missing or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NOTHING if value is None else str(value)
    return wording.number(value) if math.isfinite(value) else NOTHING


def plot(block: Lines, most: int | None = None) -> Plot:
    """The chart of a block of lines; its table has the last `most` places at most."""
    across = _places(block.x)
    low, high, labels = _scale(_heights(block), block.lowest, block.highest)
    left, right = (min(across), max(across)) if across else (0.0, 1.0)
    if block.diagonal:
        left, right = min(left, low), max(right, high)
    width = (right - left) or 1.0

    def x(place: float) -> float:
        return round(FIELD * (place - left) / width, 1) if right > left else FIELD / 2

    def y(value: float) -> float:
        return round(FIELD * (high - value) / (high - low), 1)

    corners = max(left, low), min(right, high)
    return Plot(
        curves=[_curve(line, number, across, x, y) for number, line in enumerate(block.lines)],
        bands=[
            Area(band.name, _band(band.low, band.high, across, x, y), number) for number, band in enumerate(block.bands)
        ],
        stretches=[
            Area(stretch.name, _stretch(x(across[stretch.first]), x(across[min(stretch.last, len(across) - 1)])))
            for stretch in block.stretches
            if stretch.first < len(across)
        ],
        diagonal=f"M{x(corners[0])} {y(corners[0])}L{x(corners[1])} {y(corners[1])}" if block.diagonal else "",
        y_labels=labels,
        x_labels=_x_labels(block.x),
        x_ticks=_x_ticks(block.x, left, right),
        columns=_columns(block),
        rows=_rows(block, most),
        left_out=max(0, len(block.x) - most) if most else 0,
    )


def bars(block: Bars) -> list[Bar]:
    """One bar for each label; they begin at zero, wherever it lies."""
    known = [value for value in block.values if sane(value) is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    width = (high - low) or 1.0
    zero = -low / width
    found = []
    for label, value in zip(block.labels, block.values, strict=False):
        length = min(1.0, abs(value or 0.0) / width)  # what is absurdly large fills its place
        start = zero - length if (value or 0.0) < 0 else zero
        text = figure(value) + (f" {block.unit}" if block.unit and value is not None else "")
        found.append(Bar(label, text, round(FIELD * start, 1), round(FIELD * length, 1), (value or 0.0) < 0))
    return found


def matrix(block: Matrix) -> Grid:
    """Counts by true class (rows) and predicted class (columns) as shaded cells."""
    labels = block.labels
    longest = max([len(_short(label)) for label in labels], default=0)
    left = top = 24 + 7 * longest
    cells = []
    for row, counts in enumerate(block.counts):
        whole = sum(counts) or 1
        for column, count in enumerate(counts):
            title = f"{_at(labels, row)}, said {_at(labels, column)}: {count:,}"
            shade = 0 if not count else max(1, round(SHADES * count / whole))
            place = left + CELL * column, top + CELL * row
            cells.append(Cell(*place, _tiny(count), shade, title, row == column))
    places = [(number, _short(label)) for number, label in enumerate(labels)]
    return Grid(
        cells=cells,
        rows=[(top + CELL * number + CELL // 2, label) for number, label in places],
        columns=[(left + CELL * number + CELL // 2, label) for number, label in places],
        left=left,
        top=top,
        width=left + CELL * len(labels) + 2,
        height=top + CELL * len(labels) + 2,
    )


def _heights(block: Lines) -> list[float]:
    series: list[Values] = [line.values for line in block.lines]
    series += [values for band in block.bands for values in (band.low, band.high)]
    return [value for values in series for value in values if sane(value) is not None]


def _places(x: Sequence[float | str]) -> list[float]:
    """Where each x lies: by its value where all are numbers, else one behind the other."""
    if all(isinstance(value, int | float) for value in x):
        return [float(value) for value in x]
    return [float(number) for number in range(len(x))]


def _scale(
    values: Sequence[float], lowest: float | None = None, highest: float | None = None
) -> tuple[float, float, list[str]]:
    """(low, high, labels from high to low): a round range around the values, which ends at `lowest` and `highest` at
    the latest unless values lie beyond."""
    if not values:
        return 0.0, 1.0, ["", ""]
    low, high = min(values), max(values)
    whole = all(float(value).is_integer() for value in values)  # counts: there is nothing between two of them
    if low == high:  # no bounds around it would say anything: from zero, or over all that can be
        known = lowest is not None and highest is not None and lowest <= low <= highest
        low, high = (lowest, highest) if known else (min(0.0, low), max(0.0, high) or float(low == 0))
    found, size = ticks.around(low, high, TICKS, whole)
    start, end = found[0], found[-1]
    if highest is not None and high <= highest < end:
        start, end = start + highest - end, highest
    if lowest is not None and start < lowest <= low:
        moved = end + lowest - start
        start, end = lowest, moved if highest is None else max(high, min(moved, highest))
    if (start, end) != (found[0], found[-1]):
        found, size = ticks.around(min(low, start), max(high, end), TICKS, whole)
    return found[0], found[-1], ticks.labels(found[::-1], size)


def _numeric(x: Sequence[float | str]) -> bool:
    return bool(x) and all(isinstance(value, int | float) for value in x)


def _x_ticks(x: Sequence[float | str], left: float, right: float) -> list[Tick]:
    """Round values along the axis, where x are numbers."""
    if not _numeric(x):
        return []
    if left == right:
        return [Tick(50.0, figure(left), "middle")]
    whole = all(float(value).is_integer() for value in x)
    found, size = ticks.within(left, right, TICKS, whole)
    places = [100 * (value - left) / (right - left) for value in found]
    ends = ["start" if place < EDGE else "end" if place > 100 - EDGE else "middle" for place in places]
    return [Tick(round(at, 2), *of) for at, *of in zip(places, ticks.labels(found, size), ends, strict=True)]


def _x_labels(x: Sequence[float | str]) -> list[str]:
    """Some of the words below the axis, where x are no numbers."""
    if not x or _numeric(x):
        return []
    last = len(x) - 1
    places = sorted({round(last * n / (TICKS - 1)) for n in range(TICKS)})
    return [str(x[place]) for place in places]


def _curve(line: Line, number: int, across: Sequence[float], x: object, y: object) -> Curve:
    """A path with a gap where a value is missing; a point is a line without length."""
    pieces: list[list[str]] = [[]]
    for place, value in zip(across, line.values, strict=False):
        if sane(value) is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x(place)} {y(value)}")  # type: ignore[operator]
    if line.dots:
        return Curve(line.name, "".join(f"M{point}h0" for piece in pieces for point in piece), number, True)
    path = "".join("M" + "L".join(piece) for piece in pieces if len(piece) > 1)
    alone = "".join(f"M{piece[0]}h0" for piece in pieces if len(piece) == 1)
    return Curve(line.name, path, number, points=alone, dashed=line.dashed)


def _band(low: Values, high: Values, across: Sequence[float], x: object, y: object) -> str:
    """The outline of the area between two lines, in pieces where either is missing."""
    pieces: list[list[tuple[float, float, float]]] = [[]]
    for place, below, above in zip(across, low, high, strict=False):
        if sane(below) is None or sane(above) is None:
            pieces.append([])
        else:
            pieces[-1].append((x(place), y(below), y(above)))  # type: ignore[operator]
    outlines = []
    for piece in pieces:
        if len(piece) > 1:
            around = [(at, above) for at, _, above in piece] + [(at, below) for at, below, _ in reversed(piece)]
            outlines.append("M" + "L".join(f"{at} {height}" for at, height in around) + "Z")
    return "".join(outlines)


def _stretch(first: float, last: float) -> str:
    """A column of the field, wide enough to be seen."""
    if last - first < 4:
        first, last = first - 2, last + 2
    return f"M{first:g} 0H{last:g}V{FIELD}H{first:g}Z"


def _columns(block: Lines) -> list[str]:
    bands = [f"{band.name}, {end}" for band in block.bands for end in ("low", "high")]
    return [block.x_label or "x", *(line.name for line in block.lines), *bands, *(["Marked"] * bool(block.stretches))]


def _rows(block: Lines, most: int | None) -> list[list[str]]:
    series: list[Values] = [line.values for line in block.lines]
    series += [values for band in block.bands for values in (band.low, band.high)]
    found = []
    for number, place in list(enumerate(block.x))[-(most or len(block.x)) :]:
        row = [figure(place), *(figure(values[number] if number < len(values) else None) for values in series)]
        if block.stretches:
            row.append(", ".join(s.name for s in block.stretches if s.first <= number <= s.last))
        found.append(row)
    return found


def _at(labels: Sequence[str], number: int) -> str:
    return labels[number] if number < len(labels) else str(number)


def _short(label: str) -> str:
    return label if len(label) <= SHORT else f"{label[: SHORT - 1]}…"


def _tiny(count: int) -> str:
    """A count that fits into a cell; nothing for none."""
    if not count:
        return ""
    return f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"

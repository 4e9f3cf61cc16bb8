"""Parallel coordinates: what a search tried, or runs that are compared; side by side, for phones below each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common import ticks
from jobs.models import Search, Trial
from jobs.search.overview import properties
from registry import figures
from registry.templatetags.registry_ui import in_words

WIDTH, HEIGHT = 720, 260
TOP, BOTTOM, SIDE = 34, 28, 60
NARROW, ROW, MARGIN = 300, 62, 12  # of the picture for phones, whose axes lie below each other
DRAWN = 300  # trials that are drawn as lines; the best ones of more


@dataclass(frozen=True)
class Word:
    """A tick's label, or an axis's name, and which end of it stands at its place."""

    x: int
    y: int
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Axis:
    """A setting, or the metric, as a line."""

    name: Word
    ends: tuple[int, int, int, int]  # x and y of where it begins, x and y of where it ends
    ticks: list[Word]


@dataclass(frozen=True)
class Thread:
    """A line through all axes; `share` is 0 for the best value and 1 for the worst."""

    label: str
    value: Any
    points: str
    share: float
    best: bool


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates of what has come to a value; `narrow`: the picture for phones."""

    axes: list[Axis]
    threads: list[Thread]
    width: int
    height: int
    narrow: bool = False


@dataclass(frozen=True)
class Scale:
    """What an axis measures: its title, from a value to its share of the axis, and ticks by their share."""

    title: str
    share: Callable[[Any], float]
    ticks: list[tuple[float, str]]


@dataclass(frozen=True)
class Drawn:
    """What becomes a line: a value for each axis, the last of them its result."""

    label: str
    values: Sequence[Any]
    best: bool


def parallel(search: Search, trials: Sequence[Trial], narrow: bool = False) -> Parallel | None:
    """The picture; None while fewer than two trials have come to a value."""
    known = [trial for trial in trials if trial.value is not None]
    known.sort(key=lambda trial: trial.value or 0.0, reverse=search.higher_is_better)
    known = known[:DRAWN]
    if len(known) < 2:
        return None
    rows = [
        Drawn(
            f"Trial {trial.number}",
            [*(trial.params.get(name) for name in search.space), trial.value],
            trial.pk == search.best_id,
        )
        for trial in known
    ]
    return drawing(_scales(search, [trial.value or 0.0 for trial in known]), rows, narrow)


def drawing(scales: Sequence[Scale], rows: Sequence[Drawn], narrow: bool = False) -> Parallel:
    """Axes with a line for each row, which has a value for every scale; the best of them first."""
    spot, axis = (_spot_below, _lying) if narrow else (_spot, _upright)
    threads = []
    for rank, row in enumerate(rows):
        spots = [
            spot(number, len(scales), scale.share(value))
            for number, (value, scale) in enumerate(zip(row.values, scales, strict=True))
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        threads.append(Thread(row.label, row.values[-1], line, rank / max(1, len(rows) - 1), row.best))
    axes = [axis(number, len(scales), scale) for number, scale in enumerate(scales)]
    size = (NARROW, ROW * len(scales)) if narrow else (WIDTH, HEIGHT)
    return Parallel(axes, threads[::-1], *size, narrow)  # the best lie on top


def plain(title: str, low: float, high: float) -> Scale:
    """An axis over the round range around these ends."""
    around, _ = ticks.around(low, high)
    return Scale(title, *_plain(around[0], around[-1]))


def _scales(search: Search, values: Sequence[float]) -> list[Scale]:
    """Those of the settings, in the order of the space, and that of the metric."""
    titles = {name: schema.get("title", name) for name, schema in properties(search.recipe).items()}
    found = [Scale(titles.get(name, name), *_measured(where)) for name, where in search.space.items()]
    return [*found, plain(figures.title(search.metric), min(values), max(values))]


def _spot(number: int, count: int, share: float) -> tuple[float, float]:
    return SIDE + (WIDTH - 2 * SIDE) * number / (count - 1), HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _spot_below(number: int, count: int, share: float) -> tuple[float, float]:
    return MARGIN + share * (NARROW - 2 * MARGIN), ROW * number + ROW / 2


def _upright(number: int, count: int, scale: Scale) -> Axis:
    x = round(_spot(number, count, 0)[0])
    # The names of the outer axes stay inside of the picture, however long they are.
    place, anchor = (2, "start") if number == 0 else (WIDTH - 2, "end") if number == count - 1 else (x, "middle")
    words = [Word(x + 6, round(_spot(number, count, share)[1]) + 4, text) for share, text in scale.ticks]
    return Axis(Word(place, 14, scale.title, anchor), (x, TOP, x, HEIGHT - BOTTOM), words)


def _lying(number: int, count: int, scale: Scale) -> Axis:
    y = ROW * number + ROW // 2
    shown = [scale.ticks[0], scale.ticks[-1]] if len(scale.ticks) > 1 else scale.ticks
    words = []
    for share, text in shown:
        anchor = "start" if share < 0.2 else "end" if share > 0.8 else "middle"
        words.append(Word(round(_spot_below(number, count, share)[0]), y + 16, text, anchor))
    return Axis(Word(MARGIN, y - 8, scale.title), (MARGIN, y, NARROW - MARGIN, y), words)


def _measured(where: dict[str, Any]) -> tuple[Callable[[Any], float], list[tuple[float, str]]]:
    """From a value of a setting to its share of the axis, and ticks: the ends of its range, round values between."""
    if "values" in where:
        values = where["values"]
        last = max(1, len(values) - 1)
        marks = [(place / last, in_words(value)) for place, value in enumerate(values)]
        return lambda value: values.index(value) / last if value in values else 0.5, marks
    low, high = where["low"], where["high"]
    if not where["log"]:
        return _plain(low, high, bool(where.get("whole")))
    near, far = math.log(low), math.log(high)

    def share(value: float) -> float:
        return (math.log(value) - near) / (far - near)

    return share, _between(low, high, [(share(value), f"{value:g}") for value in ticks.decades(low, high)])


def _plain(low: float, high: float, whole: bool = False) -> tuple[Callable[[Any], float], list[tuple[float, str]]]:
    span = (high - low) or 1.0
    inside, size = ticks.within(low, high, whole=whole)
    marks = [((value - low) / span, ticks.label(value, size)) for value in inside]
    return lambda value: (value - low) / span, _between(low, high, marks)


def _between(low: float, high: float, marks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The ends as they were asked for, and what is far enough from them to be read."""
    inner = [(share, text) for share, text in marks if ticks.NEAR < share < 1 - ticks.NEAR]
    return [(0.0, f"{low:.4g}"), *inner, (1.0, f"{high:.4g}")]

"""The charts of the trends: blocks that pages draw, each with its numbers as a table and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common import wording
from engine.report import AnyBlock, Bars, Line, Lines
from history.trends import Group, Trends
from registry.figures import title as metric_title

UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
Ends = tuple[float | None, float | None]  # beyond which no value of a chart can lie
OPEN: Ends = (None, None)
QUALITY: Ends = (0.0, 10.0)
SHARE: Ends = (0.0, 1.0)


@dataclass(frozen=True)
class Chart:
    """A block to draw, and its numbers."""

    key: str
    block: AnyBlock
    header: list[str]
    rows: list[list[Any]]


def charts(trends: Trends) -> list[Chart]:
    """All that there is something to show of."""
    if not trends.points:
        return []
    of_days = "Of all runs of these days" + (", whatever else the list is narrowed to." if trends.narrowed else ".")
    found = [
        _over_time(trends, "sessions", "Runs", {"Runs": "sessions", "Failed": "failed"}),
        _time(trends, "time", "Time at work", {"Time": "seconds"}),
        _over_time(trends, "cost", "Cost", {trends.currency or "Cost": "cost"}, unit=trends.currency),
        _over_time(trends, "quality", "Mean quality", {"All runs": "quality"}, unit="0 to 10", ends=QUALITY),
        _by_group(trends, "quality-by", f"Mean quality by {trends.by}", _merged(trends.groups), "quality", "0 to 10",
                  QUALITY),
        *_metrics(trends),
        _time(trends, "estimate", "Expected and actual time of completed runs",
              {"Expected": "expected_seconds", "Took": "took_seconds"}),
        _over_time(trends, "ratio", "Actual time as a share of the expected", {"Took": "took_of_expected"},
                   unit="1 is as expected"),
        _bars("genres", "Runs by genre", trends.genres, "sessions", of_days),
        _bars("distribution", "Examples by genre", trends.genres, "examples", of_days),
        _bars("wins", "Wins by generating model", trends.generators, "wins", of_days),
        _bars("generators", "Mean quality by generating model", trends.generators, "quality",
              f"The mean of the runs' averages. {of_days}"),
    ]  # fmt: skip
    return [chart for chart in found if chart is not None]


def _over_time(
    trends: Trends, key: str, title: str, series: dict[str, str], *, scale: float = 1, unit: str = "", ends: Ends = OPEN
) -> Chart | None:
    columns = [[_scaled(point[name], scale) for point in trends.points] for name in series.values()]
    return _lines(trends, key, title, dict(zip(series, columns, strict=True)), unit, ends)


def _time(trends: Trends, key: str, title: str, series: dict[str, str]) -> Chart | None:
    """In the unit that tells most of the longest."""
    longest = max((point[name] or 0 for point in trends.points for name in series.values()), default=0)
    unit, scale = next((unit, scale) for unit, scale in UNITS if longest >= 2 * scale or scale == 1)
    named = {f"{name}, {unit}" if name == "Time" else name: value for name, value in series.items()}
    return _over_time(trends, key, title, named, scale=scale, unit=unit)


def _by_group(
    trends: Trends, key: str, title: str, groups: Sequence[Group], value: str, unit: str, ends: Ends = OPEN
) -> Chart | None:
    named = {
        group.name: [group.points.get(start, {}).get(value) for start in trends.starts]
        for group in groups
        if any(point[value] is not None for point in group.points.values())
    }
    return _lines(trends, key, title, named, unit, ends)


def _metrics(trends: Trends) -> list[Chart | None]:
    """A chart of each headline metric: figures of different metrics share no axis."""
    names = list(dict.fromkeys(group.metric for group in trends.groups if group.metric))
    return [
        _by_group(trends, f"metric-{number}", f"{metric_title(name)} by {trends.by}",
                  [group for group in trends.groups if group.metric == name], "value", metric_title(name), _ends(name))
        for number, name in enumerate(names)
    ]  # fmt: skip


def _merged(groups: Sequence[Group]) -> list[Group]:
    """One line for each group, whatever its metrics: of a period that has several the one with most sessions counts."""
    merged: dict[str, Group] = {}
    for group in groups:
        known = merged.setdefault(group.key, Group(group.key, group.name, "", {}))
        for start, point in group.points.items():
            best = known.points.get(start)
            if point["quality"] is not None and (best is None or best["sessions"] < point["sessions"]):
                known.points[start] = point
    return list(merged.values())


def _ends(metric: str) -> Ends:
    if metric.startswith("generate/quality"):
        return QUALITY
    return SHARE if wording.is_share(metric) else OPEN


def _lines(
    trends: Trends, key: str, title: str, series: dict[str, list[float | None]], unit: str, ends: Ends = OPEN
) -> Chart | None:
    if not any(value is not None for values in series.values() for value in values):
        return None
    days = [start.isoformat() for start in trends.starts]
    alone = len(days) == 1  # a line needs two points
    lines = [Line(name=name[:300], values=values, dots=alone) for name, values in series.items()]
    block = Lines(title=title, x=list(days), x_label=f"{trends.period.capitalize()} from", y_label=unit, lines=lines)
    block = block.model_copy(update={"lowest": ends[0], "highest": ends[1]})
    rows = [[day, *(values[place] for values in series.values())] for place, day in enumerate(days)]
    return Chart(key, block, [trends.period, *series], rows)


def _bars(key: str, title: str, rows: list[dict[str, Any]], value: str, note: str) -> Chart | None:
    known = [row for row in rows if row[value] is not None]
    if not any(row[value] for row in known):
        return None
    known.sort(key=lambda row: -row[value])
    block = Bars(title=title, note=note, labels=[row["name"] for row in known], values=[row[value] for row in known])
    return Chart(key, block, ["name", value], [[row["name"], row[value]] for row in known])


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value if scale == 1 else round(value / scale, 4)

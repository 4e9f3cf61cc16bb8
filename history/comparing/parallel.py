"""Runs as lines through the numeric settings that differ, to the figure that tells most; drawn as a search's trials."""

from __future__ import annotations

from history.comparing.comparison import Comparison
from jobs.search.parallel import Drawn, Parallel, drawing, plain

LEAST_RUNS = 3  # two lines say no more than the table
MOST_AXES = 8


def pictures(found: Comparison) -> list[Parallel]:
    """For wide windows and for phones; none while there are fewer than three runs with a figure that has a better way,
    no number that differs, or where their figures can't be compared."""
    figure = next((figure for figure in found.figures if figure.better and not figure.apart), None)
    rows = [row for row in found.settings.rows if all(_number(cell.value) for cell in row.cells)][:MOST_AXES]
    if figure is None or not rows:
        return []
    lines = [
        Drawn(run.name, [*(row.cells[place].value for row in rows), last.value], leads)
        for place, (run, last, leads) in enumerate(zip(found.runs, figure.last, figure.leaders, strict=True))
        if last is not None and last.value is not None
    ]
    if len(lines) < LEAST_RUNS:
        return []
    lines.sort(key=lambda line: line.values[-1], reverse=figure.better == "higher")
    ends = [(min(values), max(values)) for values in zip(*(line.values for line in lines), strict=True)]
    titles = [*(row.title for row in rows), figure.title]
    scales = [plain(title, low, high) for title, (low, high) in zip(titles, ends, strict=True)]
    return [drawing(scales, lines, narrow) for narrow in (False, True)]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""What a search for anomalies shows: its figures, the candidates, and anomalies marked on the series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.report import AnyBlock, Figure, Figures, Line, Lines, Stretch, Table, thin
from engine.tables import time_text

if TYPE_CHECKING:
    from engine.recipes.anomaly.trainer import AnomalyTask

NAMES = {
    "level": "Distance from the recent mean", "season": "Distance from earlier seasons",
    "changes": "Liveliness of changes", "together": "All distances together", "forest": "Isolation forest",
}  # fmt: skip
WORDS = {
    "anomalies_per_1000": "Rows called anomalies, of 1,000", "alarms_per_1000": "Alarms, of 1,000 rows",
    "precision": "Precision", "recall": "Recall", "f1": "F1", "average_precision": "Average precision",
}  # fmt: skip
DRAWN = 3
MOST_STRETCHES = 200


def blocks(
    task: AnomalyTask, part: str, metrics: dict[str, float], found: dict[str, dict[str, float]]
) -> list[AnyBlock]:
    """The report; `found` is what was measured of each candidate."""
    prefix = "baseline/test_" if part == "test" else "baseline/"
    figures = [
        Figure(
            name="Disturbances found, of those put in",
            value=metrics["validation/detected"],
            baseline=metrics["baseline/detected"],
            better="higher",
        )
    ]
    for key, words in WORDS.items():
        if f"{part}/{key}" in metrics:
            better = None if key.endswith("1000") else "higher"
            baseline = metrics.get(f"{prefix}{key}")
            figures.append(Figure(name=words, value=metrics[f"{part}/{key}"], baseline=baseline, better=better))
    rate = task.config.false_alarm_rate
    simple = "level" if "level" in found else "together"
    made: list[AnyBlock] = [
        Figures(
            title=f"{NAMES[task.chosen]}, {part} part ({len(task.data.rows(part)):,} rows)",
            note=f"The threshold {task.threshold:.4g} was set on the validation part, for {1000 * rate:g} false alarms "
            f"of 1,000 normal rows. The baseline is: {NAMES[simple].lower()}, with a threshold set alike.",
            figures=figures,
        ),
        Table(
            title="Candidates, validation part",
            note="The share of spikes, shifts and disturbances of 1 to 4 deviations, put into a copy, that is found.",
            columns=["Candidate", "Found", "Threshold", "Average precision"],
            rows=[
                [NAMES[name], one["detected"], one["threshold"], one.get("average_precision")]
                for name, one in found.items()
            ],
        ),
    ]
    if task.time:
        made += [_drawn(task, part, column) for column in range(min(DRAWN, len(task.columns)))]
    return made


def _drawn(task: AnomalyTask, part: str, column: int) -> Lines:
    rows = task.data.rows(part)
    assert task.data.times is not None
    places = np.array(thin(len(rows)))
    above = task.scores(task.chosen)[rows] >= task.threshold
    values = task.data.values[rows[places], column]
    stretches = []
    for first, last in _runs(above)[:MOST_STRETCHES]:
        near = [int(np.abs(places - row).argmin()) for row in (first, last)]
        stretches.append(Stretch(name="Anomaly", first=near[0], last=near[1]))
    if task.data.labels is not None:
        for first, last in _runs(task.data.labels[rows])[: MOST_STRETCHES - len(stretches)]:
            near = [int(np.abs(places - row).argmin()) for row in (first, last)]
            stretches.append(Stretch(name="Labelled", first=near[0], last=near[1]))
    return Lines(
        title=f"{task.columns[column]:.200}, {part} part",
        note="Marked: rows above the threshold" + (", and labelled ones." if task.data.labels is not None else "."),
        x=[time_text(task.data.times[rows[place]]) for place in places],
        x_label=task.time[:200],
        y_label=task.columns[column][:200],
        lines=[Line(name=task.columns[column][:200], values=[None if np.isnan(v) else float(v) for v in values])],
        stretches=stretches,
    )


def _runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """First and last place of each run of marked rows."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(int)))
    return [(int(first), int(after) - 1) for first, after in zip(edges[::2], edges[1::2], strict=True)]

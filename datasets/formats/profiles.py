"""What is in a column, gathered batch by batch: figures, frequent values, a histogram, and whether time runs on.

Memory depends on the number of columns, never on that of rows.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MAX_DISTINCT = 10_000  # values that are counted one by one
TOP = 10
BINS = 20
SAMPLE = 200_000  # rows that quantiles are taken from; all of them in smaller tables
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MAX_STEPS = 1000  # distances between two rows that are counted one by one
MAX_GAPS = 20
SHOWN = 100  # characters of a value
CATEGORY = 50  # a text column with no more values, each ten times on average, holds categories


@dataclass
class Column:
    """One column, while it is read."""

    name: str
    type: str
    rows: int = 0
    missing: int = 0
    unreadable: int = 0
    figures: int = 0  # cells that count for mean and variance: finite ones
    mean: float = 0.0
    squares: float = 0.0  # sum of squared distances from the mean
    low: Any = None
    high: Any = None
    values: Counter[Any] = field(default_factory=Counter)
    overflow: bool = False  # there are more distinct values than are counted
    known: pa.Array | None = None  # those that are counted, once there are too many
    bins: np.ndarray = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    sample: list[np.ndarray] = field(default_factory=list)

    def add(self, cells: pa.Array) -> None:
        """Take in the next cells, of the column's own type."""
        present = cells.drop_null()
        self.rows += len(cells)
        self.missing += cells.null_count
        if not len(present):
            return
        figures = _figures(present, self.type)
        if figures is not None and len(figures):
            self._merge(figures)
        self._count(present)

    def _merge(self, figures: np.ndarray) -> None:
        """Mean and variance of both parts together (Chan, Golub, LeVeque)."""
        before = self.figures
        self.figures += len(figures)
        mean = float(figures.mean())
        squares = float(((figures - mean) ** 2).sum())
        distance = mean - self.mean
        total = before + len(figures)
        self.squares += squares + distance**2 * before * len(figures) / total
        self.mean += distance * len(figures) / total
        low, high = float(figures.min()), float(figures.max())
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def _count(self, present: pa.Array) -> None:
        if self.overflow:
            if self.type not in {"text", "category"}:
                return
            if self.known is None:
                self.known = pa.array(self.values, pa.string())
            present = present.filter(pc.is_in(present, value_set=self.known))
        for entry in pc.value_counts(present):
            value = entry["values"].as_py()
            if value in self.values or len(self.values) < MAX_DISTINCT:
                self.values[value] += entry["counts"].as_py()
            else:
                self.overflow = True

    def look_again(self, cells: pa.Array, first_row: int, step: int) -> None:
        """Second time: a histogram between the extremes, and a sample for quantiles."""
        figures = _figures(cells.drop_null(), self.type)
        if figures is not None and len(figures) and self.high > self.low:
            places = ((figures - self.low) / (self.high - self.low) * BINS).astype(np.int64)
            self.bins += np.bincount(places.clip(0, BINS - 1), minlength=BINS)
        some = cells.slice((-first_row) % step).take(pa.array(range(0, max(0, len(cells) - (-first_row) % step), step)))
        figures = _figures(some.drop_null(), self.type)
        if figures is not None:
            self.sample.append(figures)

    def found(self) -> dict[str, Any]:
        """The profile of the column, as JSON."""
        count = self.rows - self.missing
        out: dict[str, Any] = {
            "name": self.name, "type": self.type, "missing": self.missing, "distinct": len(self.values),
            "distinct_is_least": self.overflow,
        }  # fmt: skip
        if self.unreadable:
            out["unreadable"] = self.unreadable
        if not count:
            return out
        top = [(value, number) for value, number in self.values.most_common(TOP) if number > 1 or self.type != "text"]
        if self.type in {"text", "category", "yes_no"} or len(self.values) <= CATEGORY:
            out["top"] = [[_shown(value), number] for value, number in top]
        if self.low is not None:
            out |= self._range()
        return out

    def _range(self) -> dict[str, Any]:
        deviation = math.sqrt(self.squares / (self.figures - 1)) if self.figures > 1 else 0.0
        if self.type == "text":
            return {"length": {"min": int(self.low), "max": int(self.high), "mean": _rounded(self.mean)}}
        quantiles: dict[str, Any] = {}
        if self.sample and (sample := np.concatenate(self.sample)).size:
            shares = np.quantile(sample, QUANTILES)
            quantiles = {f"{share:g}": self._value(value) for share, value in zip(QUANTILES, shares, strict=True)}
        out = {"min": self._value(self.low), "max": self._value(self.high), "quantiles": quantiles}
        if self.type != "date":
            out |= {"mean": _rounded(self.mean), "std": _rounded(deviation)}
        bins = self.bins.tolist() if self.high > self.low else [self.figures]
        edges = np.linspace(self.low, self.high, len(bins) + 1)
        return out | {"histogram": {"counts": bins, "edges": [self._value(edge) for edge in edges]}}

    def _value(self, figure: float) -> Any:
        if self.type == "date":
            return datetime.fromtimestamp(float(figure) / 1e6, UTC).replace(tzinfo=None).isoformat(sep=" ")
        if self.type == "whole" and float(figure).is_integer():
            return int(figure)
        return _rounded(float(figure))


@dataclass
class Series:
    """Whether a column of times runs on from row to row, by which step, and where rows are missing."""

    name: str
    last: int | None = None
    first: int | None = None
    steps: Counter[int] = field(default_factory=Counter)
    back: int = 0
    rows: int = 0
    missing: int = 0
    gaps: int = 0
    lost: int = 0
    shown: list[dict[str, Any]] = field(default_factory=list)

    def add(self, cells: pa.Array) -> None:
        moments = _moments(cells)
        self.missing += cells.null_count
        self.rows += len(moments)
        distances = self._distances(moments)
        self.back += int((distances < 0).sum())
        for distance, count in zip(*np.unique(distances, return_counts=True), strict=True):
            if distance in self.steps or len(self.steps) < MAX_STEPS:
                self.steps[int(distance)] += int(count)

    @property
    def step(self) -> int:
        """Microseconds between two rows, as most are; 0 when there is no such distance."""
        forward = {distance: count for distance, count in self.steps.items() if distance > 0}
        return max(forward, key=lambda distance: (forward[distance], -distance)) if forward else 0

    @property
    def is_one(self) -> bool:
        """A series: enough rows, in order, none without a time, and most of them at different times."""
        return (
            self.rows >= 10
            and self.missing == 0
            and self.back <= self.rows // 100
            and self.steps[0] <= self.rows // 10
            and self.step > 0
        )

    def rewind(self) -> None:
        self.last = None

    def look_again(self, cells: pa.Array) -> None:
        """Second time, with the step known: where rows are missing."""
        moments, step = _moments(cells), self.step
        before = self.last
        distances = self._distances(moments)
        starts = moments[:-1] if before is None else np.concatenate([[before], moments[:-1]])
        wide = distances > 1.5 * step
        self.gaps += int(wide.sum())
        self.lost += int(np.rint(distances[wide] / step).sum() - wide.sum()) if wide.any() else 0
        for start, distance in zip(starts[wide], distances[wide], strict=True):
            if len(self.shown) >= MAX_GAPS:
                break
            rows = round(int(distance) / step) - 1
            self.shown.append({"from": _moment(start), "to": _moment(start + distance), "rows": rows})

    def found(self) -> dict[str, Any]:
        regular = self.steps[self.step] / max(1, self.rows - 1)
        return {
            "time": self.name, "from": _moment(self.first or 0), "to": _moment(self.last or 0),
            "step_seconds": self.step / 1e6, "regular": round(regular, 6), "gaps": self.gaps,
            "missing_rows": self.lost, "same_time": self.steps[0], "back": self.back, "longest": self.shown,
        }  # fmt: skip

    def _distances(self, moments: np.ndarray) -> np.ndarray:
        if not len(moments):
            return np.zeros(0, dtype=np.int64)
        whole = moments if self.last is None else np.concatenate([[self.last], moments])
        self.first = int(moments[0]) if self.first is None else self.first
        self.last = int(moments[-1])
        return np.diff(whole)


def finish(path: Path, columns: list[Column], series: list[Series], chosen: str = "") -> dict[str, Any]:
    """Read the columnar copy once more, for what needs the extremes and the step, and give the whole profile.

    `chosen` names the time column when a person did.
    """
    file = pq.ParquetFile(path)
    rows = file.metadata.num_rows
    step = max(1, -(-rows // SAMPLE))
    ordered = [one for one in series if one.is_one and (not chosen or one.name == chosen)]
    time = ordered[0] if ordered else None
    if time:
        time.rewind()
    measured = [column for column in columns if column.type not in {"text", "category", "yes_no"}]
    names = [column.name for column in measured]
    first = 0
    for batch in file.iter_batches(50_000, columns=names) if names else ():
        for column in measured:
            column.look_again(batch.column(column.name), first, step)
        if time:
            time.look_again(batch.column(time.name))
        first += len(batch)
    found: dict[str, Any] = {"columns": [column.found() for column in columns]}
    if time:
        found["series"] = time.found()
    return found


def settle_types(columns: list[Column]) -> None:
    """Texts of few values, each many times, are categories."""
    for column in columns:
        count = column.rows - column.missing
        few = 0 < len(column.values) <= CATEGORY and count >= 10 * len(column.values)
        if column.type == "text" and few and not column.overflow:
            column.type = "category"


def _figures(cells: pa.Array, type: str) -> np.ndarray | None:
    """Cells as numbers: times as microseconds, texts as their lengths; None where numbers say nothing."""
    if type in {"whole", "number"}:
        figures = cells.to_numpy(zero_copy_only=False).astype(np.float64)
        return figures[np.isfinite(figures)]
    if type == "date":
        return cells.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.float64)
    if type in {"text", "category"}:
        return pc.utf8_length(cells).to_numpy(zero_copy_only=False).astype(np.float64)
    return None


def _moments(cells: pa.Array) -> np.ndarray:
    return cells.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(int(microseconds) / 1e6, UTC).replace(tzinfo=None).isoformat(sep=" ")


def _rounded(value: float) -> float | None:
    return float(f"{value:.10g}") if math.isfinite(value) else None


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
    if isinstance(value, float):
        return _rounded(value)
    return value if isinstance(value, bool | int) else str(value)

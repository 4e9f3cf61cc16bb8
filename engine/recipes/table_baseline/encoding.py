"""Columns as numbers: a matrix for trees (NaN: missing; categories as codes), and one for the linear model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine.tables import NUMERIC, seconds_of

MAX_CATEGORIES = 2000
ONE_HOT = 20  # categories that the linear model tells apart in a column
LIMIT = 5.0  # deviations from the mean that the linear model goes along with a value beyond what it has seen


@dataclass(frozen=True)
class Feature:
    """One number made of a column: itself, the code of its category, or a part of its date."""

    column: str
    part: str = ""  # of a date: day (since 1970), month, weekday, hour
    categories: list[str] | None = None
    fill: float = 0.0  # for the linear model: where the value is missing
    mean: float = 0.0
    deviation: float = 1.0
    misses: bool = False  # some training rows have no value


@dataclass(frozen=True)
class Encoder:
    """What was learned of the columns; `kinds` are those of the columns that are used."""

    kinds: dict[str, str]
    features: list[Feature] = field(default_factory=list)

    def matrix(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(rows, features) float64 for trees."""
        return np.column_stack([_numbers(columns[f.column], f, self.kinds[f.column]) for f in self.features])

    def straight(self, matrix: np.ndarray) -> np.ndarray:
        """That matrix as the linear model takes it: no gaps, of mean 0 and deviation 1, a column for each category."""
        made: list[np.ndarray] = []
        for values, feature in zip(matrix.T, self.features, strict=True):
            if feature.categories is not None:
                made += [(values == code).astype(float) for code in range(min(ONE_HOT, len(feature.categories)))]
                continue
            filled = np.where(np.isnan(values), feature.fill, values)
            made.append(np.clip((filled - feature.mean) / feature.deviation, -LIMIT, LIMIT))
            if feature.misses:
                made.append(np.isnan(values).astype(float))
        return np.column_stack(made)

    @property
    def categorical(self) -> list[int]:
        """Places of the features that are codes."""
        return [place for place, feature in enumerate(self.features) if feature.categories is not None]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Encoder:
        return cls(facts["kinds"], [Feature(**feature) for feature in facts["features"]])


def learn(columns: Mapping[str, np.ndarray], kinds: Mapping[str, str], names: list[str], time: str,
          log: Callable[[str], None]) -> Encoder:  # fmt: skip
    """Learn the encoding from training rows. The time that rows are divided by counts as season only: later rows lie
    beyond all dates that were seen."""
    features: list[Feature] = []
    for name in names:
        values = columns[name]
        if kinds[name] == "date":
            features += _of_dates(name, values, season_only=name == time)
        elif kinds[name] in NUMERIC:
            features.append(_measured(Feature(name), values))
        else:
            features.append(_of_texts(name, values, log))
    return Encoder({name: kinds[name] for name in names}, features)


def _numbers(values: np.ndarray, feature: Feature, kind: str) -> np.ndarray:
    if feature.categories is not None:
        codes = {category: float(code) for code, category in enumerate(feature.categories)}
        return np.array([codes.get(value, np.nan) for value in values], dtype=float)
    if kind == "date":
        return _part(values, feature.part)
    return values.astype(float)


def _part(moments: np.ndarray, part: str) -> np.ndarray:
    seconds = seconds_of(moments)
    if part == "day":
        return np.floor(seconds / 86400)
    if part == "hour":
        return seconds % 86400 / 3600
    if part == "weekday":
        return (np.floor(seconds / 86400) + 3) % 7
    months = moments.astype("datetime64[M]").astype(np.int64) % 12 + 1.0
    return np.where(np.isnat(moments), np.nan, months)


def _of_dates(name: str, moments: np.ndarray, season_only: bool) -> list[Feature]:
    made = []
    for part in ("month", "weekday", "hour") if season_only else ("day", "month", "weekday", "hour"):
        values = _part(moments, part)
        if np.nanmax(values) > np.nanmin(values):  # no hours in a column of days
            made.append(_measured(Feature(name, part), values))
    return made


def _measured(feature: Feature, values: np.ndarray) -> Feature:
    there = values[~np.isnan(values)]
    fill = float(np.median(there))
    filled = np.where(np.isnan(values), fill, values)
    mean, deviation = float(filled.mean()), float(filled.std())
    misses = len(there) < len(values)
    return Feature(feature.column, feature.part, None, fill, mean, deviation or 1.0, misses)


def _of_texts(name: str, values: np.ndarray, log: Callable[[str], None]) -> Feature:
    """Categories, the commonest first."""
    counts = Counter(value for value in values if value is not None)
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    kept = [value for value in ordered if counts[value] > 1][:MAX_CATEGORIES] or ordered[:MAX_CATEGORIES]
    if len(kept) < len(ordered):
        log(f"Column '{name}': of {len(ordered):,} texts the {len(kept)} commonest are told apart.")
    return Feature(name, categories=kept)

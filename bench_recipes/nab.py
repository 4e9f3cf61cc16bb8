"""The Numenta Anomaly Benchmark's way to score: early alarms inside of a labelled window count, alarms outside cost.

After Lavin and Ahmad, 2015 (`nab/sweeper.py`): one threshold for all series, the best one; 0 is a detector that never
alarms, 100 a perfect one. The first 15 % of a series (750 rows at most) are for learning and are not scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PROBATION = 0.15
WINDOW, SLIDE = 6400, 150  # of the windowed Gaussian


@dataclass(frozen=True)
class Weights:
    """A profile's costs."""

    hit: float
    miss: float
    alarm: float


@dataclass(frozen=True)
class Scored:
    """Rows of one series that count, in order: a detector's score, what an alarm there adds, and the number of its
    window (-1: outside of all)."""

    scores: np.ndarray
    gains: np.ndarray
    windows: np.ndarray
    count: int  # of windows that have a row that counts


def probation(rows: int) -> int:
    """Rows at the beginning that are not scored."""
    return math.ceil(min(math.floor(PROBATION * rows), PROBATION * 5000))


def sigmoid(place: float) -> float:
    """What an alarm is worth at a place relative to a window: -1 its left edge, 0 its right one, from 3 on far away."""
    return -1.0 if place >= 3 else 2 / (1 + math.exp(5 * place)) - 1


def scored(times: Sequence[str], scores: np.ndarray, windows: Sequence[tuple[str, str]], weights: Weights) -> Scored:
    """What an alarm in each row would add. `windows` are first and last times, in order."""
    places = {time: row for row, time in reversed(list(enumerate(times)))}
    bounds = [(places[first], places[last]) for first, last in windows]
    gains, numbers = np.empty(len(times)), np.full(len(times), -1)
    most = sigmoid(-1.0)
    for row in range(len(times)):
        inside = next((n for n, (first, last) in enumerate(bounds) if first <= row <= last), None)
        if inside is not None:
            first, last = bounds[inside]
            gains[row] = sigmoid(-(last - row + 1) / (last - first + 1)) * weights.hit / most
            numbers[row] = inside
            continue
        before = [bound for bound in bounds if bound[1] < row]
        past = 3.0
        if before:
            first, last = before[-1]
            past = (row - last) / (last - first)
        gains[row] = sigmoid(past) * weights.alarm
    start = probation(len(times))
    return Scored(scores[start:], gains[start:], numbers[start:], len(set(numbers[start:]) - {-1}))


def best(series: Sequence[Scored], weights: Weights) -> tuple[float, float]:
    """The normalised score with the best threshold for all series, and that threshold."""
    scores = np.concatenate([one.scores for one in series])
    order = np.argsort(-scores, kind="stable")
    gains = np.concatenate([one.gains for one in series])[order]
    offsets = np.cumsum([0, *(one.windows.max() + 1 for one in series)])
    windows = [
        np.where(one.windows >= 0, one.windows + offset, -1) for one, offset in zip(series, offsets, strict=False)
    ]
    numbers = np.concatenate(windows)[order]
    count = sum(one.count for one in series)
    found: dict[int, float] = {}
    alarms, total, top, threshold = 0.0, -weights.miss * count, -weights.miss * count, math.inf
    ranked = scores[order]
    for place, (gain, number) in enumerate(zip(gains, numbers, strict=True)):
        if number < 0:
            alarms += gain
        else:
            found[number] = max(found.get(number, -weights.miss), gain)
        last = place + 1 == len(ranked) or ranked[place + 1] != ranked[place]
        if last:
            total = alarms + sum(found.values()) - weights.miss * (count - len(found))
            if total > top:
                top, threshold = total, float(ranked[place])
    return normalised(top, count, weights), threshold


def at(series: Sequence[Scored], threshold: float, weights: Weights) -> tuple[float, int, int]:
    """The normalised score at a threshold, windows that are found, and alarms outside of windows."""
    total, hits, alarms, count = 0.0, 0, 0, sum(one.count for one in series)
    for one in series:
        alarm = one.scores >= threshold
        outside = alarm & (one.windows < 0)
        total += float(one.gains[outside].sum())
        alarms += int(outside.sum())
        for number in set(one.windows) - {-1}:
            inside = alarm & (one.windows == number)
            total += float(one.gains[inside].max()) if inside.any() else -weights.miss
            hits += bool(inside.any())
    return normalised(total, count, weights), hits, alarms


def normalised(total: float, count: int, weights: Weights) -> float:
    """0 for a detector that never alarms, 100 for a perfect one."""
    nothing, perfect = -weights.miss * count, weights.hit * count
    return 100 * (total - nothing) / (perfect - nothing)


def windowed_gaussian(values: np.ndarray) -> np.ndarray:
    """NAB's own simple detector: how unlikely each value is, by mean and deviation of the last 6,400 or so."""
    made = np.zeros(len(values))
    window: list[float] = []
    waiting: list[float] = []
    mean, deviation = 0.0, 1.0
    for place, value in enumerate(values):
        if window:
            made[place] = 1 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2))
        if len(window) < WINDOW:
            window.append(float(value))
        else:
            waiting.append(float(value))
            if len(waiting) < SLIDE:
                continue
            window, waiting = window[SLIDE:] + waiting, []
        mean, deviation = float(np.mean(window)), float(np.std(window)) or 1e-6
    return made

"""How unusual each row is, by the rows before it alone."""

from __future__ import annotations

import numpy as np

SHORT = 5  # rows over which changes are averaged
SEASONS = 7  # earlier seasons that a row is compared with
CALM = 0.05  # of the training deviation: less than this counts as no spread, so that a quiet stretch raises no alarm
MOST = 50.0
SIZES = (1.0, -2.0, 4.0, -1.0, 2.0, -4.0)  # of disturbances that are put in, in deviations: slight and gross
KINDS = ("level", "season", "changes")


def features(values: np.ndarray, deviations: np.ndarray, window: int, season: int) -> np.ndarray:
    """(rows, columns * 3) distances in deviations of the rows before, each 0 to MOST in size: of the value, of what is
    left of it without its season, of the size of its latest changes. `values` is (rows, columns), NaN where missing;
    `deviations` are those of the training part."""
    made = []
    for column, deviation in zip(values.T, deviations, strict=True):
        floor = CALM * deviation
        level = distance(column, window, floor)
        rest = without_season(column, season)
        changes = recent_mean(np.abs(np.diff(column, prepend=column[:1])), SHORT)
        made += [level, distance(rest, window, floor), np.maximum(0, distance(changes, window, floor))]
    return np.nan_to_num(np.clip(np.column_stack(made), -MOST, MOST))


def of_rows(values: np.ndarray, medians: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """(rows, columns) distances of rows that stand for themselves from the medians of the training part."""
    return np.nan_to_num(np.clip((values - medians) / deviations, -MOST, MOST))


def distance(column: np.ndarray, window: int, floor: float) -> np.ndarray:
    """Of each value from the mean of the `window` before it, in their deviations (`floor` at least). 0 while fewer than
    20 came before."""
    known = ~np.isnan(column)
    start = column[known][0] if known.any() else 0.0
    moved = np.where(known, column - start, 0.0)  # small numbers: sums of squares keep their figures
    counts, sums, squares = (_before(part, window) for part in (known.astype(float), moved, moved**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / counts
        spread = np.sqrt(np.maximum(squares / counts - mean**2, 0))
        found = (column - start - mean) / np.maximum(spread, max(floor, 1e-12))
    return np.where((counts >= 20) & known, found, 0.0)


def without_season(column: np.ndarray, season: int) -> np.ndarray:
    """What each value has beyond the median of its place in up to seven earlier seasons, NaN in the first one; the
    value itself where there is no season."""
    if season <= 1:
        return column
    past = np.full((SEASONS, len(column)), np.nan)
    for back in range(1, SEASONS + 1):
        if back * season < len(column):
            past[back - 1, back * season :] = column[: -back * season]
    usual = np.full(len(column), np.nan)
    there = ~np.isnan(past).all(0)
    usual[there] = np.nanmedian(past[:, there], axis=0)
    return column - usual


def recent_mean(column: np.ndarray, rows: int) -> np.ndarray:
    """The mean of each value and those before it."""
    known = ~np.isnan(column)
    counts = _before(known.astype(float), rows, own=True)
    sums = _before(np.where(known, column, 0.0), rows, own=True)
    return np.divide(sums, counts, out=np.full(len(column), np.nan), where=counts > 0)


def fresh(scores: np.ndarray, quiet: int) -> np.ndarray:
    """Where a score is above all of the `quiet` before it: the beginning of an event, or its rise."""
    if not quiet or not len(scores):
        return np.ones(len(scores), dtype=bool)
    padded = np.concatenate([np.full(quiet, -np.inf), scores])
    before = np.lib.stride_tricks.sliding_window_view(padded, quiet)[: len(scores)].max(1)
    return scores > before


def combined(name: str, distances: np.ndarray, by_time: bool) -> np.ndarray:
    """(rows,) scores of a candidate that needs no forest."""
    size = np.abs(distances)
    if by_time and name in KINDS:
        size = size[:, KINDS.index(name) :: len(KINDS)]
    return size.max(1)


def threshold(scores: np.ndarray, rate: float) -> float:
    """The score that normal rows exceed at this rate. Where there are too few of them to count, their uppermost part
    is continued as an exponential tail."""
    ordered = np.sort(scores)
    if len(scores) * rate >= 3:
        return float(np.quantile(ordered, 1 - rate, method="higher"))
    share = min(0.05, max(10 / len(ordered), 0.02)) if len(ordered) >= 20 else 0.5
    start = float(np.quantile(ordered, 1 - share))
    beyond = ordered[ordered > start] - start
    excess = float(beyond.mean()) if len(beyond) else 0.0
    return max(start + excess * float(np.log(share / rate)) if rate < share else start, 1e-9)


def disturb(values: np.ndarray, deviations: np.ndarray, number: int) -> None:
    """Change (rows, columns) values in one column: by turns a spike, a shift, noise, or a standstill beside it."""
    column, kind = number % values.shape[1], number % 4
    size = deviations[column] * SIZES[number // 4 % len(SIZES)]
    if kind == 0:
        values[0, column] += size
    elif kind == 1:
        values[:, column] += size
    elif kind == 2:
        values[:, column] += size * np.where(np.arange(len(values)) % 2 == 0, 0.6, -0.6)
    else:
        values[:, column] = values[0, column] + size


def _before(column: np.ndarray, window: int, own: bool = False) -> np.ndarray:
    """The sum of the `window` values before each one; `own`: it is the last of them."""
    whole = np.concatenate([[0.0], np.cumsum(column)])
    last = np.arange(len(column)) + int(own)
    return whole[last] - whole[np.maximum(last - window, 0)]

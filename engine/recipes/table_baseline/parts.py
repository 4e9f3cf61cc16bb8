"""Which rows are learned from and which the model is judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.data import bad_data
from engine.recipes.table_baseline.config import TableBaselineConfig
from engine.recipes.table_baseline.roles import present
from engine.tables import Table, seconds_of, spread

LEAST = 10  # training rows


@dataclass(frozen=True)
class Parts:
    """Row numbers of each part (test may be empty), and in words how they were divided."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    how: str

    @property
    def count(self) -> int:
        return len(self.train) + len(self.validation) + len(self.test)


def divide(table: Table, config: TableBaselineConfig, seed: int) -> Parts:
    """The parts of a version's own tables where it has them, else by rows, groups or time.

    EngineError BAD_DATA when a part would be empty."""
    given = np.array([item.split for item in table.items], dtype=object)[table.source]
    if {"train", "validation"} <= set(given):
        places = [np.flatnonzero(given == part) for part in ("train", "validation", "test")]
        parts = Parts(*places, how="by the tables of the version, each of which belongs to one part")
    else:
        parts = _divide_rows(table, given, config, seed)
    if len(parts.train) < LEAST or not len(parts.validation):
        raise bad_data(
            f"{len(table):,} rows with a target make {len(parts.train):,} for training and "
            f"{len(parts.validation):,} for validation: too few to learn from.",
            f"Add rows: at least {LEAST} for training, and some for validation.",
        )
    return parts


def _divide_rows(table: Table, given: np.ndarray, config: TableBaselineConfig, seed: int) -> Parts:
    """By shares. Tables that the version keeps for the test stay there when there are others to learn from."""
    kept = given == "test" if (given != "test").any() else np.zeros(len(table), dtype=bool)
    rows = np.flatnonzero(~kept)
    share = 0.0 if kept.any() else config.test_fraction
    validation = min(config.validation_fraction, 0.9 - share)
    if config.time:
        place, how = _by_time(table, rows, config.time)
    elif config.group:
        place, how = _by_group(table, rows, config.group, seed)
    else:
        place, how = spread(seed, rows), "at random by row (a function of the seed)"
    if not config.time:
        place = 1 - place  # by time the last rows are the test, as everywhere
    test = place >= 1 - share if share else np.zeros(len(rows), dtype=bool)
    held = (place >= 1 - share - validation) & ~test
    return Parts(rows[~held & ~test], rows[held], np.concatenate([rows[test], np.flatnonzero(kept)]), how)


def _by_time(table: Table, rows: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Each row's place in time from 0 to 1; rows of one moment share theirs."""
    moments = numbers(table.columns[name])[rows]
    if np.isnan(moments).any():
        raise bad_data(
            f"{int(np.isnan(moments).sum()):,} rows have no time in '{name}'.",
            "Fill the times, set these rows aside, or leave the setting 'time' empty.",
        )
    return (np.searchsorted(np.sort(moments), moments) + 0.5) / len(
        rows
    ), f"by time ('{name}'): the latest rows are held out"


def _by_group(table: Table, rows: np.ndarray, name: str, seed: int) -> tuple[np.ndarray, str]:
    _, codes = np.unique(table.columns[name][rows].astype(str), return_inverse=True)
    groups = codes.max() + 1
    if groups < 3:
        raise bad_data(
            f"The group column '{name}' has {groups} values: too few to keep groups apart.",
            "Choose a column with more groups, or leave the setting 'group' empty.",
        )
    # Groups in a random order, each at the middle of its own rows: shares come out as near as whole groups allow.
    order = np.argsort(spread(seed, np.arange(groups)))
    sizes = np.bincount(codes, minlength=groups)[order]
    middles = np.empty(groups)
    middles[order] = (np.cumsum(sizes) - sizes / 2) / len(rows)
    middles[order[0]] = 0.0  # a part that is wanted gets a group at least
    middles[order[-1]] = 0.999
    return middles[codes], f"by group ('{name}'): a group is in one part only"


def folds(table: Table, parts: Parts, y: np.ndarray, classification: bool, config: TableBaselineConfig,
          seed: int) -> list[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """(learned from, held out) inside of the training part, as places in `parts.train`; the second says when to stop.

    Five ways for up to 20,000 rows, else one; in time always one, the latest rows held out."""
    count = len(parts.train)
    places = np.arange(count)
    if config.time:
        moments = numbers(table.columns[config.time])[parts.train]
        held = moments >= np.quantile(moments, 0.8)
        return [(places[~held], places[held])] if 0 < held.sum() < count - 4 else _by_turns(places, count)
    if config.group:
        _, codes = np.unique(table.columns[config.group][parts.train].astype(str), return_inverse=True)
        turn = np.argsort(np.argsort(spread(seed + 1, np.arange(codes.max() + 1))))[codes]
        if turn.max() > 0:
            return _by_turns(turn, count)
    # In a random order, class by class, so that each fold has its share of the rarest.
    order = np.argsort(spread(seed + 1, parts.train), kind="stable")
    if classification:
        order = order[np.argsort(y[parts.train][order], kind="stable")]
    turn = np.empty(count, dtype=int)
    turn[order] = places
    return _by_turns(turn, count)


def _by_turns(turn: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    number = 5
    ways = [turn % number == fold for fold in range(number if count <= 20_000 else 1)]
    return [(np.flatnonzero(~held), np.flatnonzero(held)) for held in ways if 0 < held.sum() < count]


def numbers(values: np.ndarray) -> np.ndarray:
    """Times or numbers as numbers that can be compared."""
    return seconds_of(values) if values.dtype.kind == "M" else np.where(present(values), values, np.nan)

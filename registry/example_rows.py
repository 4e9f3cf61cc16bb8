"""Rows of tables that a version was not trained on. Where files belong to a part as a whole, these are rows of the
files that were held out. Else the recipe divided the rows: by time, where the latest are held out, or at random, where
the seed says which."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from common.errors import ProblemError
from datasets.models import Item
from datasets.rendering.sheets import Sheet, Table
from engine.catalogue import Recipe, config_class
from registry.artifacts import open_file
from registry.models import ModelVersion

Found = tuple[Item, int, int, str]  # first row, after the last, and what to call them

SEVERAL = 5
MOST_ROWS = 2000
WATCHED = 200  # rows that anomalies are looked for in
MAX_CONFIG = 16 << 20
SHOWN = 12  # values of what came after a series
_MASK = 2**64 - 1


@dataclass(frozen=True)
class About:
    """Of a forecast: its columns ('' for none), and how far it looks ahead and back."""

    targets: list[str]
    time: str
    series: str
    horizon: int
    history: int
    season: int


def whole_files(recipe: Recipe, counts: Mapping[str, int]) -> bool:
    """Whether files belong to a part as a whole, and the recipe keeps to that."""
    return bool(counts.get("train") and counts.get("validation")) and not recipe.own_parts


def held_out(version: ModelVersion, recipe: Recipe, items: list[Item]) -> list[Found]:
    """Stretches of rows to try; none where it can't be told which rows were held out."""
    assert version.dataset_version is not None
    items = [item for item in items if item.facts.get("parquet") and item.facts.get("rows")]
    counts, config = version.dataset_version.counts, _config(version)
    if recipe.output == "forecast":
        return _pasts(version, config, items) if sum(counts.values()) == 1 else []
    size = WATCHED if recipe.output == "anomalies" else 1
    if whole_files(recipe, counts):
        return [found for item in items for found in _from_the_start(item, size)][:SEVERAL]
    if sum(counts.values()) != 1 or not items or config.get("group") or items[0].facts.get("aside_rows"):
        return []
    item, time = items[0], _time(config, items[0])
    if time:
        return _latest(item, size, config) if _in_order(item, time) else []
    return _drawn(version, item, config)


def read(version: ModelVersion, recipe: Recipe, item: Item, first: int, after: int) -> tuple[list[dict[str, Any]], str]:
    """Rows as a model takes them, and what is known of them, in words; '' where nothing is."""
    config = _config(version)
    rows = _rows(item, first, after)
    if recipe.output == "forecast":
        return rows, _what_came(version, item, after)
    if recipe.output == "anomalies":
        label = config.get("label")
        marked = [str(place) for place, row in enumerate(rows, 1) if label and row.pop(label, None)]
        return rows, f"Marked as anomalies: {', '.join(marked) or 'none'}." if label else ""
    target = _target(config, item)
    return rows, ", ".join(_cell(row.pop(target, None)) for row in rows)


def _what_came(version: ModelVersion, item: Item, after: int) -> str:
    about = _about(version)
    later = _rows(item, after, after + min(SHOWN, about.horizon)) if about else []
    if about is None or not later:
        return ""
    told = [f"{name}: {', '.join(_cell(row.get(name)) for row in later)}" for name in about.targets[:3]]
    return f"Then came {'; '.join(told)}."


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as they are pasted into the form."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else [])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    return out.getvalue()


def _from_the_start(item: Item, size: int) -> list[Found]:
    rows = int(item.facts["rows"])
    if size > 1:
        return [(item, 0, min(size, rows), f"{item.name.rpartition('/')[2]:.40}, the first rows")]
    return [(item, row, row + 1, f"Row {row + 1:,}") for row in range(min(SEVERAL, rows))]


def _latest(item: Item, size: int, config: Mapping[str, Any]) -> list[Found]:
    """The last rows, as far as they were held out."""
    rows = int(item.facts["rows"])
    held = int(rows * _share(config))
    if size > 1:
        return [(item, rows - min(size, held), rows, f"The last {min(size, held):,} rows")] if held else []
    return [
        (item, rows - back, rows - back + 1, f"Row {rows - back + 1:,}") for back in range(1, min(SEVERAL, held) + 1)
    ]


def _drawn(version: ModelVersion, item: Item, config: Mapping[str, Any]) -> list[Found]:
    """Among the first rows, which lie beside the item, those that the seed held out. Rows without a target were left
    out before, so they do not count."""
    names = [column["name"] for column in item.facts.get("columns", [])]
    target = _target(config, item) if "target" in config else ""
    place, found = 0, []
    held = _share(config)
    for row, cells in enumerate(item.facts.get("head") or []):
        if target in names and (len(cells) < len(names) or cells[names.index(target)] is None):
            continue
        if _spread(version.seed, place) <= held:
            found.append((item, row, row + 1, f"Row {row + 1:,}"))
        place += 1
    return found[:SEVERAL]


def _pasts(version: ModelVersion, config: Mapping[str, Any], items: list[Item]) -> list[Found]:
    """Series up to some places in their last stretch; none where several lie below each other."""
    about = _about(version)
    if not items or about is None or about.series or (about.time and not _in_order(items[0], about.time)):
        return []
    item, rows = items[0], int(items[0].facts["rows"])
    least = max(about.history, 10, 2 * about.season + 5)
    past = min(MOST_ROWS, least + 4 * about.horizon)
    share = config.get("test_fraction") or config.get("validation_fraction") or 0
    ends = [rows - about.horizon * back for back in range(1, SEVERAL + 1)]
    kept = [end for end in ends if end >= max(least, rows * (1 - share))]
    return [(item, max(0, end - past), end, f"After row {end:,}") for end in kept]


def _rows(item: Item, first: int, after: int) -> list[dict[str, Any]]:
    total = int(item.facts["rows"])
    sheet = Sheet((Table(item.pk, item.name, item.facts["parquet"], total, 0),), ())
    found: list[dict[str, Any]] = []
    for batch in sheet.read(first, None, after - first):
        found += [row.values for row in batch]
        if len(found) >= after - first:
            break
    return found[: after - first]


def _config(version: ModelVersion) -> dict[str, Any]:
    """The settings of its run, defaults with them."""
    try:
        return config_class(version.model.recipe).model_validate(version.config).model_dump()
    except ValueError:  # of an older release
        return dict(version.config)


def _about(version: ModelVersion) -> About | None:
    """What its run found out of the series, from its files; None where they can't be read."""
    try:
        file, size = open_file(version, "config.json")
        with file:
            said = json.loads(file.read(MAX_CONFIG)) if size <= MAX_CONFIG else {}
        columns, shape = said["columns"], said["shape"]
        return About(
            list(columns["targets"]), str(columns["time"]), str(columns["series"]), int(shape["horizon"]),
            int(shape["history"]), int(said["season"]),
        )  # fmt: skip
    except (ProblemError, OSError, ValueError, KeyError, TypeError):
        return None


def _share(config: Mapping[str, Any]) -> float:
    """Of the rows that are held out, where the recipe divides them."""
    return min(0.9, float(config.get("validation_fraction") or 0) + float(config.get("test_fraction") or 0))


def _target(config: Mapping[str, Any], item: Item) -> str:
    names = [column["name"] for column in item.facts.get("columns", [])]
    return names[-1] if config.get("target") == "auto" and names else str(config.get("target", ""))


def _time(config: Mapping[str, Any], item: Item) -> str:
    if config.get("time") != "auto":
        return str(config.get("time") or "")
    dates = (column["name"] for column in item.facts.get("columns", []) if column["type"] == "date")
    return next(dates, "")


def _in_order(item: Item, time: str) -> bool:
    """Whether the table's rows are in order of this time."""
    series = (item.facts.get("profile") or {}).get("series") or {}
    return bool(series.get("time") == time)


def _spread(seed: int, place: int) -> float:
    """As `engine.tables.spread`, which needs numpy: from 0 to 1, and held out are those up to the shares."""
    z = (place + seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / 2.0**53


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, date) else str(value)

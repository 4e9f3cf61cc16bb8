"""What a model answered, as pages draw it: labels with their probabilities, texts, pictures, tables and curves."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.report import MAX_POINTS, AnyBlock, Band, Line, Lines, Stretch, Table, thin
from registry.reports import picture_type

SHOWN = 200  # rows of a table
MARKS = ("anomaly", "anomalous", "is_anomaly")
LOW, HIGH = "low", "high"
MAX_STRETCHES = 200
MAX_LINES = 12
LETTERS = 300


@dataclass(frozen=True)
class Answer:
    """The answer to one input. `name` is its file's; of the rest only what the model gave is there."""

    name: str = ""
    label: str = ""
    confidence: float | None = None
    ranked: list[tuple[str, float]] = field(default_factory=list)
    text: str | None = None
    picture: str = ""  # as a data URL
    caption: str = ""
    blocks: list[AnyBlock] = field(default_factory=list)
    rest: str = ""  # what was left out of the table, in words


def answers(outputs: Sequence[Mapping[str, Any]], names: Sequence[str] = ()) -> list[Answer]:
    """Each output as it is drawn, with the name of its file."""
    return [_answer(output, names[number] if number < len(names) else "") for number, output in enumerate(outputs)]


def _answer(output: Mapping[str, Any], name: str) -> Answer:
    if isinstance(output.get("forecast"), list):
        return _table(_rows(output["forecast"]), name, "Forecast")
    if isinstance(output.get("rows"), list):
        return _table(_rows(output["rows"]), name, "Answers")
    if isinstance(output.get("image"), str):
        return _picture(output, name)
    if "label" in output:
        chances = output.get("probabilities") or {}
        ranked = sorted(chances.items(), key=lambda pair: -(pair[1] or 0)) if isinstance(chances, dict) else []
        return Answer(name, label=str(output["label"]), confidence=output.get("confidence"), ranked=ranked)
    return Answer(name, text=str(output.get("text", "")))


def _picture(output: Mapping[str, Any], name: str) -> Answer:
    try:
        kind = picture_type(base64.b64decode(output["image"], validate=True))
    except (binascii.Error, ValueError):
        kind = None
    if kind is None:
        return Answer(name, text="The model's answer is no picture.")
    told = [f"{output['width']} × {output['height']}"] if "width" in output and "height" in output else []
    told += [f"seed {output['seed']}"] if "seed" in output else []
    return Answer(name, picture=f"data:{kind};base64,{output['image']}", caption=", ".join(told))


def _rows(given: Sequence[Any]) -> list[dict[str, Any]]:
    return [row if isinstance(row, dict) else {"value": row} for row in given]


def _table(rows: list[dict[str, Any]], name: str, title: str) -> Answer:
    """The rows as a table, and as curves where they follow each other."""
    columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if _is_cell(value)))[:18]
    if not columns:
        return Answer(name, text="The model's answer has no rows.")
    marked = next((mark for mark in MARKS if mark in columns), "")
    shown = [column for column in columns if column != marked]
    cells: list[list[Any]] = []
    for number, row in enumerate(rows[:SHOWN], 1):
        mark = ["anomaly" if row.get(marked) else ""] if marked else []
        cells.append([number, *mark, *(_cell(row.get(column)) for column in shown)])
    heads = ["Row", *(["Marked"] if marked else []), *(_head(column) for column in shown)]
    blocks: list[AnyBlock] = []
    if title == "Forecast" or marked:
        blocks += _curves(rows, shown, marked, title)
    blocks.append(Table(title=title, columns=heads, rows=cells))
    rest = f"{len(rows) - SHOWN:,} more rows are left out here; the API gives all." if len(rows) > SHOWN else ""
    return Answer(name, blocks=blocks, rest=rest)


def _curves(rows: list[dict[str, Any]], columns: list[str], marked: str, title: str) -> list[Lines]:
    """Columns of figures over the first one of times or names, else over the row's number; low and high are a band."""
    numeric = [column for column in columns if _is_numeric(rows, column)]
    drawn = [column for column in numeric if column not in (LOW, HIGH, "step")][:MAX_LINES]
    if not drawn or len(rows) < 2:
        return []
    words = next((column for column in columns if column not in numeric and not _is_flag(rows, column)), None)
    places = thin(len(rows), MAX_POINTS)
    x: list[float | str] = [
        str(rows[place].get(words, place + 1))[:LETTERS] if words else place + 1 for place in places
    ]

    def values(column: str) -> list[float | None]:
        return [_number(rows[place].get(column)) for place in places]

    bands = [Band(name="Range", low=values(LOW), high=values(HIGH))] if {LOW, HIGH} <= set(numeric) else []
    return [
        Lines(
            title=f"{title} as a curve",
            x=x,
            x_label=_head(words) if words else "Row",
            lines=[Line(name=_head(column), values=values(column)) for column in drawn],
            bands=bands,
            stretches=_stretches([bool(rows[place].get(marked)) for place in places]) if marked else [],
        )
    ]


def _stretches(marks: Sequence[bool]) -> list[Stretch]:
    """Runs of rows that are marked."""
    found: list[Stretch] = []
    for place, mark in enumerate(marks):
        if not mark:
            continue
        if found and found[-1].last == place - 1:
            found[-1] = Stretch(name="anomaly", first=found[-1].first, last=place)
        else:
            found.append(Stretch(name="anomaly", first=place, last=place))
    return found[:MAX_STRETCHES]


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _is_numeric(rows: list[dict[str, Any]], column: str) -> bool:
    held = [row[column] for row in rows if row.get(column) is not None]
    return bool(held) and all(_number(value) is not None for value in held)


def _is_flag(rows: list[dict[str, Any]], column: str) -> bool:
    """Whether it says yes or no, or nothing: that is no place on an axis."""
    return all(row.get(column) is None or isinstance(row[column], bool) for row in rows)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _cell(value: Any) -> float | str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or isinstance(value, int | float):
        return value
    return str(value)[:LETTERS]


def _head(column: str) -> str:
    words = column.replace("_", " ").strip()
    return (words[:1].upper() + words[1:])[:LETTERS] or column

"""What a recipe shows of its result where people look rather than read: typed blocks, drawn by the hub.

The last evaluation makes a list of them, which lies with the artifact as `report.json`. No torch here: recipes make
blocks of plain numbers, pages draw them. Whatever comes from a recipe is checked against these types and limits before
it is drawn, so a recipe of another package can't break a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

REPORT = "report.json"
MAX_POINTS = 2000
MAX_ROWS = 500
MAX_CLASSES = 100

Name = Annotated[str, Field(max_length=300)]
Value = float | None  # what is not finite is None
Values = Annotated[list[Value], Field(max_length=MAX_POINTS)]


class Block(BaseModel):
    """One part of a report; `note` says in a sentence what is seen, or how it was measured."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    title: Name
    note: Annotated[str, Field(max_length=2000)] = ""


class Figure(BaseModel):
    """One figure beside that of the trivial baseline."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Name
    value: Value
    baseline: Value = None
    better: Literal["lower", "higher"] | None = None


class Figures(Block):
    """Figures of a result against the baseline."""

    kind: Literal["figures"] = "figures"
    figures: Annotated[list[Figure], Field(max_length=50)]


class Table(Block):
    """Rows of text and numbers."""

    kind: Literal["table"] = "table"
    columns: Annotated[list[Name], Field(max_length=20)]
    rows: Annotated[list[list[float | Name | None]], Field(max_length=MAX_ROWS)]


class Matrix(Block):
    """Counts by true class (rows) and predicted class (columns)."""

    kind: Literal["matrix"] = "matrix"
    labels: Annotated[list[Name], Field(max_length=MAX_CLASSES)]
    counts: Annotated[list[Annotated[list[int], Field(max_length=MAX_CLASSES)]], Field(max_length=MAX_CLASSES)]


class Bars(Block):
    """One bar for each label."""

    kind: Literal["bars"] = "bars"
    labels: Annotated[list[Name], Field(max_length=200)]
    values: Annotated[list[Value], Field(max_length=200)]
    unit: Name = ""


class Line(BaseModel):
    """Values over the x of the block; `dots` draws points that are not joined. Where some lines are estimates these
    are `dashed` and the others are not; None leaves it to the chart, which tells lines apart by dashes too."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Name
    values: Values
    dots: bool = False
    dashed: bool | None = None


class Band(BaseModel):
    """An area between two lines, such as an interval of 90 %."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Name
    low: Values
    high: Values


class Stretch(BaseModel):
    """A marked stretch of x, both ends included, as indices of x."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    first: Annotated[int, Field(ge=0)]
    last: Annotated[int, Field(ge=0)]


class Lines(Block):
    """Curves over one x: a forecast with its band, anomalies on a series, how well probabilities are calibrated."""

    kind: Literal["lines"] = "lines"
    x: Annotated[list[float | Name], Field(max_length=MAX_POINTS)]
    x_label: Name = ""
    y_label: Name = ""
    lines: Annotated[list[Line], Field(max_length=12)]
    bands: Annotated[list[Band], Field(max_length=4)] = []
    stretches: Annotated[list[Stretch], Field(max_length=200)] = []
    diagonal: bool = False  # draw x = y for comparison
    # Where the upright axis ends at the latest, of values that can't lie beyond, such as shares.
    lowest: float | None = None
    highest: float | None = None


class Passage(BaseModel):
    """A text under a heading."""

    model_config = ConfigDict(extra="forbid")

    heading: Annotated[str, Field(max_length=2000)]
    text: Annotated[str, Field(max_length=10_000)]


class Texts(Block):
    """What a model writes, beside what was asked."""

    kind: Literal["texts"] = "texts"
    entries: Annotated[list[Passage], Field(max_length=50)]


class Picture(BaseModel):
    """A picture file of the artifact (PNG or JPEG)."""

    model_config = ConfigDict(extra="forbid")

    caption: Annotated[str, Field(max_length=2000)]
    file: Annotated[str, Field(pattern=r"^[\w.-]{1,100}\.(png|jpg)$")]


class Pictures(Block):
    """Pictures that a model makes."""

    kind: Literal["pictures"] = "pictures"
    entries: Annotated[list[Picture], Field(max_length=50)]


AnyBlock = Annotated[Figures | Table | Matrix | Bars | Lines | Texts | Pictures, Field(discriminator="kind")]
_REPORT = TypeAdapter(Annotated[list[AnyBlock], Field(max_length=40)])


def pack(blocks: Sequence[AnyBlock]) -> bytes:
    """A report as the bytes of `report.json`."""
    return _REPORT.dump_json(list(blocks), indent=1)


def read(data: bytes) -> list[AnyBlock]:
    """The blocks of a `report.json`; ValueError when it holds anything else."""
    try:
        return _REPORT.validate_json(data)
    except ValidationError as error:
        raise ValueError(f"the report can't be read: {error.error_count()} faults") from error


def left_out(found: Mapping[str, tuple[int, int]]) -> list[Table]:
    """A block of what of the data was not used: what, how many of how many. None where all of it was."""
    if not found:
        return []
    rows: list[list[float | str | None]] = [[what[:300], count, of] for what, (count, of) in found.items()]
    note = "Neither learned from nor judged by; the log says more."
    return [Table(title="Left out of the data", note=note, columns=["What", "Left out", "Of"], rows=rows[:MAX_ROWS])]


def thin(count: int, most: int = MAX_POINTS) -> list[int]:
    """Indices of at most `most` of `count` points, evenly spread, the first and last among them."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]

"""The columns of both sides of a check: from logged predictions and outcomes, or from what a version learned from."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from common.files import store
from datasets.freezing import manifests
from datasets.items import rows as item_rows
from datasets.models import DatasetVersion
from engine import catalogue
from performance.drift.columns import Kind
from performance.drift.windows import SAMPLE, Window
from registry.logged.rows import features_of
from registry.models import Model

Columns = dict[str, list[Any]]
MAX_COLUMNS = 200
# Pictures, sounds and texts of the training data that are measured: each must be decoded.
MEASURED = 1000
# Where an item of the training data and an input of the model are the same kind of thing. A text model learns from
# books and is asked questions: their lengths say nothing.
LIKE_INPUTS = {"image-classification", "audio-classification", "video-classification", "text-classification"}
OF_THE_ANSWER = "confidence"  # is logged among the features
LONGEST_WORD = 40  # longer texts of a row are not logged
SHARES = {"wrong", "unanswered"}  # what is true of a row or not
Beat = Callable[[], None]


def learned_from(model: Model, data: DatasetVersion | None) -> bool:
    """Whether the training data can be laid beside inputs of the model."""
    if data is None:
        return False
    if data.dataset.modality == "table":
        return True
    return model.recipe in LIKE_INPUTS and model.recipe in catalogue.RECIPES


def inputs(window: Window) -> Columns:
    """The logged features, a column for each name; a row that lacks one has None there."""
    found = columns_of(features for (features,) in window.predictions("features").rows())
    found.pop(OF_THE_ANSWER, None)
    return found


def predictions(window: Window) -> Columns:
    """The named class, how sure of it (or the predicted number), and whether there was an answer at all."""
    found: Columns = {"label": [], "score": [], "unanswered": []}
    for label, score, error in window.predictions("label", "score", "error").rows():
        found["unanswered"].append(bool(error))
        if not error:
            found["label"].append(label or None)
            found["score"].append(score)
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def errors(window: Window) -> Columns:
    """Of classes whether the answer was wrong; of numbers the error with its sign, and its size."""
    found: Columns = {"wrong": [], "error": [], "size of error": []}
    for correct, error in window.outcomes("correct", "error").rows():
        if correct is not None:
            found["wrong"].append(not correct)
        if error is not None:
            found["error"].append(error)
            found["size of error"].append(abs(error))
    return {name: values for name, values in found.items() if values}


def training(model: Model, data: DatasetVersion, wanted: Iterable[str], beat: Beat) -> Columns:
    """Those of the wanted columns that the training data has, of at most SAMPLE rows, the same ones each time."""
    if data.dataset.modality == "table":
        return _table(data, set(wanted), beat)
    measured = _measured(model, data, beat)
    return {name: values for name, values in columns_of(measured).items() if name in set(wanted)}


def columns_of(rows: Iterable[dict[str, Any]]) -> Columns:
    found: Columns = {}
    count = 0
    for count, row in enumerate(rows, 1):
        for name, value in row.items():
            if name not in found:
                if len(found) == MAX_COLUMNS:
                    continue
                found[name] = []
            values = found[name]
            values.extend(itertools.repeat(None, count - 1 - len(values)))
            values.append(value)
    for values in found.values():
        values.extend(itertools.repeat(None, count - len(values)))
    return found


def typed(reference: Columns, recent: Columns) -> tuple[Columns, Columns, dict[str, Kind]]:
    """Both sides as one kind each: numbers where the reference has nothing else, else categories.

    A text that stands for a number is one, since rows of a CSV file hold texts alone.
    """
    kinds: dict[str, Kind] = {}
    sides: tuple[Columns, Columns] = ({}, {})
    for name in reference:
        if name not in recent:
            continue
        kinds[name] = kind = _kind(reference[name])
        convert = {Kind.NUMBER: number, Kind.VECTOR: _vector}.get(kind, word)
        for side, found in zip(sides, (reference, recent), strict=True):
            side[name] = [convert(value) for value in found[name]]
    return *sides, kinds


def number(value: Any) -> float | None:
    """The value as a number; None for what is none, or is not finite."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def word(value: Any) -> str | None:
    """The value as the name of a category; None for what is empty."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None or value == "" else str(value).replace("\0", "")[:100]


def _vector(value: Any) -> list[float] | None:
    return value if isinstance(value, list) and value and all(number(one) is not None for one in value) else None


def _kind(values: list[Any]) -> Kind:
    there = [value for value in values if value is not None and value != ""]
    if there and all(isinstance(value, list) for value in there):
        return Kind.VECTOR if len({len(value) for value in there}) == 1 else Kind.CATEGORY
    numeric = there and all(not isinstance(value, bool) and number(value) is not None for value in there)
    return Kind.NUMBER if numeric else Kind.CATEGORY


def _table(data: DatasetVersion, wanted: set[str], beat: Beat) -> Columns:
    """Rows of the version's tables, chosen by a hash of their file and place."""
    files = [entry for entry in manifests.entries(data.content_hash) if "parquet" in entry.get("facts", {})]
    total = sum(int(entry["facts"].get("rows", 0)) for entry in files)
    found: Columns = {}
    for entry in files:
        beat()
        there = _rows_of(entry, wanted, 1.0 if total <= SAMPLE else 0.97 * SAMPLE / total, beat)
        known = len(next(iter(found.values()), []))
        count = len(next(iter(there.values()), []))
        for name in {*found, *there}:
            values = found.setdefault(name, [None] * known)
            values += there.get(name) or [None] * count
    return found


def _rows_of(entry: dict[str, Any], wanted: set[str], share: float, beat: Beat) -> Columns:
    """A share of the rows of one table, but those that were set aside."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as parquet

    with store().open(entry["facts"]["parquet"]) as source, parquet.ParquetFile(source) as file:
        names = [name for name in file.schema_arrow.names if name in wanted][:MAX_COLUMNS]
        if not names:
            return {}
        seed = int(hashlib.sha256(entry["sha256"].encode()).hexdigest()[:15], 16)
        taken = np.random.default_rng(seed).random(file.metadata.num_rows) < share
        for first, after in entry.get("aside_rows") or []:
            taken[first:after] = False
        found: Columns = {name: [] for name in names}
        start = 0
        for batch in file.iter_batches(10_000, columns=names, use_threads=False):
            beat()
            chosen = batch.filter(pa.array(taken[start : start + batch.num_rows]))
            start += batch.num_rows
            for name in names:
                found[name] += [_plain(value) for value in chosen.column(name).to_pylist()]
        return found


def _plain(value: Any) -> Any:
    """A cell as it would have been logged."""
    if isinstance(value, str) and (len(value) > LONGEST_WORD or "\n" in value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _measured(model: Model, data: DatasetVersion, beat: Beat) -> Iterator[dict[str, Any]]:
    """What is logged of an input, of items of the version; they lie in the order of their hashes, which is chance."""
    recipe = catalogue.RECIPES[model.recipe]
    for entry in itertools.islice(manifests.entries(data.content_hash), MEASURED):
        beat()
        if (content := entry.get("content")) is not None:
            given: Any = item_rows.plain_text(content)
        else:
            with store().open(entry["sha256"]) as file:
                given = file.read()
            if data.dataset.modality == "text":
                given = given.decode("utf-8", "replace")
        yield features_of(given, recipe.takes, recipe.modality, "full")

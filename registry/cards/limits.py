"""What to know before a version is used: rules over its figures and data, each a sentence that says what it found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from common.wording import metric as in_words
from engine.catalogue import RECIPES
from registry.models import ModelVersion

FEW = 100  # examples to learn from
SMALL = 100  # held-out examples
LOW_RECALL = 0.5
FEW_OF_A_CLASS = 10
UNEVEN = 10.0  # how many times as many examples the largest class has as the smallest
LARGE_GAP = 0.15  # between training and validation, of a share
MUCH_LEFT_OUT = 0.2
SHOWN = 8
LOWER = ("loss", "mae", "mse", "rmse", "mase", "smape", "perplexity")
SHARES = ("accuracy", "macro_f1", "f1", "precision", "recall")


class Compared(Protocol):
    """A figure beside its baseline and that of the version before."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def value(self) -> float | None: ...
    @property
    def baseline(self) -> float | None: ...
    @property
    def before(self) -> float | None: ...


def limits(
    version: ModelVersion,
    data: Mapping[str, Any] | None,
    metrics: Sequence[Compared],
    groups: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Sentences, the weightiest first. `data` None: it is not known, or may not be seen."""
    found = [*_standing(version), *_data(data)]
    found += _figures(version.model.recipe, metrics)
    found += _held_out(data, metrics)
    found += [sentence for group in groups for sentence in _group(group)]
    return list(dict.fromkeys(found))


def _standing(version: ModelVersion) -> Iterator[str]:
    if version.standing == "damaged":
        yield f"Its files are damaged: {version.damage}"
    elif version.standing in ("archived", "deleted", "failed"):
        yield f"It is {version.standing}, so it can't be used."
    if not version.environment:
        yield "It is not known with which libraries and on what device it was made."


def _data(data: Mapping[str, Any] | None) -> Iterator[str]:
    if data is None:
        yield "What it learned from is not known here."
        return
    counts, examples = data["counts"], data["examples"]
    learned = examples.get("train")
    if learned is not None and learned < FEW:
        yield f"It learned from few examples: {learned:,}. It may know only these."
    if examples.get("validation") == 0 and examples.get("test") == 0:
        yield "No examples were held out, so its figures do not tell how it does on what is new."
    elif examples.get("test") == 0:
        yield "It has no test part: settings may have been chosen by the very examples that its figures are of."
    left_out = sum(data["left_out"].values())
    if left_out > MUCH_LEFT_OUT * (left_out + sum(counts.values())):
        yield f"Much of the data was left out: {data['left_out_in_words']}. What was, it does not know."
    if not data["gates"]["approvals"] and not data["gates"]["governed"]:
        yield "Its data has no gate: neither experts nor rules have looked at the items."


def _held_out(data: Mapping[str, Any] | None, metrics: Sequence[Compared]) -> Iterator[str]:
    """How unsure a share is that was measured on few examples: the half width of its 95 % interval."""
    for part in ("test", "validation"):
        count = (data["examples"].get(part) or 0) if data else 0
        share = next((m.value for m in metrics if m.name == f"{part}/accuracy" and m.value is not None), None)
        if 0 < count < SMALL:
            half = f" Its accuracy may be {100 * _half(share, count):.0f} % off." if share is not None else ""
            yield f"The {part} part is small: {count:,} examples.{half}"


def _half(share: float, count: int) -> float:
    """Half of the width of Wilson's 95 % interval."""
    z = 1.96
    return z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))


def _figures(recipe: str, metrics: Sequence[Compared]) -> Iterator[str]:
    held_out = [m for m in metrics if m.name.partition("/")[0] in ("validation", "test") and m.value is not None]
    if held_out and not any(m.baseline is not None for m in held_out):
        yield "It was compared with no baseline, so its figures alone do not say whether it is worth anything."
    for m in held_out:
        better = _better(recipe, m.name)
        if m.baseline is not None and better and not _is_better(m.value, m.baseline, better):
            yield (
                f"{m.title} is no better than the baseline: {in_words(m.name, m.value)} beside "
                f"{in_words(m.name, m.baseline)}."
            )
        if m.before is not None and better and _is_better(m.before, m.value, better):
            yield (
                f"{m.title} is worse than of the version before: {in_words(m.name, m.value)} after "
                f"{in_words(m.name, m.before)}."
            )
    known = {m.name: m.value for m in metrics}
    for name in SHARES:
        learned, new = known.get(f"train/{name}"), known.get(f"validation/{name}")
        if learned is not None and new is not None and learned - new > LARGE_GAP:
            yield (
                f"It does much better on what it learned from ({100 * learned:.0f} %) than on what is new "
                f"({100 * new:.0f} %, {name.replace('_', ' ')}): it has learned much by heart."
            )


def _better(recipe: str, name: str) -> str | None:
    """Whether higher or lower values of a figure are better; None when that is not known."""
    quantity = name.partition("/")[2]
    if quantity in LOWER:
        return "lower"
    if quantity in SHARES or quantity in ("r2", "auc"):
        return "higher"
    if recipe in RECIPES and RECIPES[recipe].goal == name:
        return "higher" if RECIPES[recipe].higher_is_better else "lower"
    return None


def _is_better(value: float | None, other: float | None, better: str) -> bool:
    if value is None or other is None:
        return False
    return value > other if better == "higher" else value < other


def _group(group: Mapping[str, Any]) -> Iterator[str]:
    """Classes that it misses, or of which it has seen few."""
    columns = [str(column).lower() for column in group["columns"]]
    if "recall" in columns:
        at = columns.index("recall")
        missed = [row for row in group["rows"] if _number(row, at) is not None and _number(row, at) < LOW_RECALL]
        if missed:
            named = ", ".join(f"{row[0]} ({100 * row[at]:.0f} %)" for row in missed[:SHOWN])
            yield f"It misses more than half of some classes: {named}{_more(missed)}."
    for name in ("rows", "items", "examples", "count"):
        if name in columns:
            at = columns.index(name)
            counted = [(row[0], _number(row, at)) for row in group["rows"]]
            few = [f"{label} ({count:.0f})" for label, count in counted if count is not None and count < FEW_OF_A_CLASS]
            if few:
                named = f"{', '.join(few[:SHOWN])}{_more(few)}"
                yield f"Of some there were fewer than {FEW_OF_A_CLASS} to measure by: {named}."
            sizes = [count for _, count in counted if count]
            if len(sizes) > 1 and max(sizes) > UNEVEN * min(sizes):
                times = max(sizes) / min(sizes)
                yield f"Classes are uneven: the largest has {times:.0f} times as many as the smallest."


def _number(row: Sequence[Any], at: int) -> Any:
    value = row[at] if at < len(row) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _more(found: Sequence[Any]) -> str:
    return f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""

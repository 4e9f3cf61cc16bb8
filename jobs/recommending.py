"""Settings that a recipe recommends for the data at hand, by what is known of them without opening a file."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from django.db.models import Sum
from pydantic import ValidationError

from datasets import overview
from datasets.gating import gates
from datasets.models import Dataset
from engine.catalogue import RECIPES, config_class
from engine.config import Facts

PROBED = 400  # items that are looked at for sizes and lengths
MAX_CLASSES = 1000


@dataclass(frozen=True)
class Advice:
    """A value that suits the data, and why: a clause after 'because'."""

    value: str
    because: str


def advice(recipe: str, dataset: Dataset | None, device: str = "cpu") -> dict[str, Advice]:
    """By setting; those that the recipe's configuration would refuse are left out."""
    if recipe not in RECIPES or dataset is None or not dataset.item_count:
        return {}
    settings = config_class(recipe)
    found: dict[str, Advice] = {}
    for name, (value, because) in settings.recommend(facts(dataset, device)).items():
        if name in settings.model_fields and _valid(settings, name, value):
            found[name] = Advice(_shown(value), because)
    return found


def facts(dataset: Dataset, device: str = "cpu") -> Facts:
    """What recipes are told of a dataset; sizes and lengths are those of some items."""
    found: Facts = {"items": dataset.item_count, "bytes": dataset.byte_count}
    if device in ("cpu", "cuda"):
        found["device"] = "cuda" if device == "cuda" else "cpu"
    classes = {row.label: row.count for row in overview.label_counts(dataset, MAX_CLASSES) if row.label}
    if classes:
        found["classes"] = classes
    rows = list(gates.trainable(dataset).values_list("width", "height", "characters", "facts")[:PROBED])
    if sides := [min(width, height) for width, height, _, _ in rows if width and height]:
        found["side"] = float(median(sides))
    if lengths := [more["seconds"] for *_, more in rows if isinstance(more.get("seconds"), int | float)]:
        found["seconds"] = float(median(lengths))
    if any(characters for _, _, characters, _ in rows):
        found["characters"] = gates.trainable(dataset).aggregate(sum=Sum("characters"))["sum"] or 0
    if tables := [more for *_, more in rows if isinstance(more.get("rows"), int)]:
        found["rows"] = sum(more["rows"] for more in tables)
        found["columns"] = len(tables[0].get("columns") or [])
    return found


def _valid(settings: type[Any], name: str, value: Any) -> bool:
    try:
        settings.model_validate({name: value})
    except ValidationError:
        return False
    return True


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else ""
    return str(value)

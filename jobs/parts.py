"""Which shares decide what a run on tables is judged by: those of the split by files, or the recipe's own of rows.

A form shows only the ones that count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datasets.gating import gates
from datasets.models import Dataset
from engine.catalogue import RECIPES, config_class

SHARES = ("validation_fraction", "test_fraction")  # of a split, and settings of recipes that divide rows


@dataclass(frozen=True)
class Divided:
    """`by_files`: the shares of the split have an effect; `by_rows`: those among the recipe's settings have. `told`
    says which, for people; '' where there is only one kind."""

    by_files: bool = True
    by_rows: bool = False
    told: str = ""

    @property
    def unused(self) -> tuple[str, ...]:
        """The settings of the recipe that have no effect."""
        return () if self.by_rows else SHARES


def divided(recipe: str, dataset: Dataset | None, counts: Mapping[str, int] | None) -> Divided:
    """How rows and files are divided; `counts` are the files of each part by the split as it is asked for."""
    if recipe not in RECIPES or not set(SHARES) <= set(config_class(recipe).model_fields):
        return Divided()
    if dataset is None:
        return Divided(by_rows=True)
    shares = "set the validation and test share among the settings."
    if RECIPES[recipe].own_parts:
        return Divided(False, True, f"{RECIPES[recipe].title} divides each table in time, whatever its file: {shares}")
    if gates.trainable(dataset).count() < 2:
        return Divided(False, True, f"There is one table, and its rows are divided: {shares}")
    if counts and counts.get("train") and counts.get("validation"):
        return Divided(True, False, "Each table belongs to one part as a whole, by these shares.")
    told = f"No table of its own is left for training or for validation, so rows are divided: {shares}"
    return Divided(True, True, told)

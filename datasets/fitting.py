"""Which recipes train on which kind of data."""

from __future__ import annotations

from engine.catalogue import RECIPES
from engine.recipe import Recipe


def recipes(modality: str | None) -> list[Recipe]:
    """Recipes for this kind of data, in the order of the catalogue; of None, those that need none."""
    return [recipe for recipe in RECIPES.values() if recipe.modality == modality]


def trained_on() -> set[str]:
    """The kinds of data that some recipe trains on."""
    return {recipe.modality for recipe in RECIPES.values() if recipe.modality is not None}

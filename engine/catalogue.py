"""Which recipes there are, without loading any of them.

A new recipe is a folder in `engine/recipes/` and its name here, or a package of its own with an entry point; see
`engine.recipe` and docs/recipes.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.config import RecipeConfig
from engine.protocol import EngineError, FailureCode, Spec
from engine.recipe import Recipe
from engine.refusals import explain

__all__ = ["PROBLEMS", "RECIPES", "Recipe", "check_config", "config_class", "load", "recipe"]

# A folder of engine/recipes each, in the order of the catalogue.
BUILT_IN = (
    "text_generation",
    "text_classification",
    "image_classification",
    "audio_classification",
    "video_classification",
    "image_generation",
    "table_baseline",
    "forecast",
    "anomaly",
    "generate",
    "simulate",
)
ENTRY_POINTS = "trainhub.recipes"

# What was wrong with recipes of other packages, for whoever runs the hub: the others work without them.
PROBLEMS: list[str] = []


def _collect() -> dict[str, Recipe]:
    """The hub's own recipes, then those of installed packages by name."""
    found: dict[str, Recipe] = {}
    for folder in BUILT_IN:
        own: Recipe = import_module(f"engine.recipes.{folder}").RECIPE
        found[own.name] = own
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        if (other := _loaded(point, found)) is not None:
            found[other.name] = other
    return found


def _loaded(point: EntryPoint, taken: Mapping[str, Recipe]) -> Recipe | None:
    """The recipe that an installed package brings; None, and a problem noted, when it can't be used."""
    source = f"The recipe '{point.name}' of {point.dist.name if point.dist else point.value}"
    try:
        other = point.load()
    except Exception as error:  # whatever another's package does wrong must not stop the hub
        PROBLEMS.append(f"{source} can't be imported: {type(error).__name__}: {error}")
        return None
    if not isinstance(other, Recipe):
        PROBLEMS.append(f"{source} is no engine.recipe.Recipe but {type(other).__name__}")
    elif other.name in taken:
        PROBLEMS.append(f"{source} is left out: there is a recipe called '{other.name}' already")
    else:
        return other
    return None


RECIPES: dict[str, Recipe] = _collect()


def recipe(name: str) -> Recipe:
    """The recipe of this name; EngineError BAD_CONFIG names the known ones when there is none."""
    try:
        return RECIPES[name]
    except KeyError:
        known = ", ".join(RECIPES)
        raise EngineError(
            FailureCode.BAD_CONFIG, f"There is no recipe called '{name}'.", f"Choose one of: {known}."
        ) from None


def spec_for_several(path: Path) -> Spec | None:
    """The spec in this file when it asks for several processes; None when one is enough, or to say what is wrong."""
    try:
        spec = Spec.read(path)
        simulated = recipe(spec.recipe).simulator
    except (OSError, ValueError, EngineError):
        return None
    return spec if spec.processes > 1 and not simulated else None


def config_class(name: str) -> type[RecipeConfig]:
    """The pydantic class of a recipe's configuration: validation, JSON schema and form come from it."""
    return load(recipe(name).config)


def check_config(name: str, values: dict[str, Any]) -> RecipeConfig:
    """Validate a configuration; EngineError BAD_CONFIG says in one sentence per field what is wrong."""
    model = config_class(name)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The configuration of {name} is not valid: {explain(error, model)}.",
            "Correct the named settings and start the job again.",
        ) from error


def load(dotted: str) -> Any:
    """The object at a dotted path `package.module.name`."""
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(module), name)

"""Which recipes there are, without loading any of them.

A new recipe is a folder in `engine/recipes/` and one entry here. The dotted paths are imported on first
use, so listing recipes, drawing their forms and checking a configuration never loads torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from engine.config import RecipeConfig
from engine.protocol import EngineError, FailureCode, Spec

Modality = Literal["text", "image", "audio", "video", "table"]
Output = Literal["text", "labels"]


@dataclass(frozen=True)
class Recipe:
    """One kind of training."""

    name: str
    title: str
    summary: str
    modality: Modality | None  # what its dataset must hold; None: it needs no dataset
    config: str  # dotted path of its RecipeConfig
    trainer: str  # dotted path of `build(context) -> Task`
    predictor: str | None  # dotted path of its Predictor; None: its artifact can't be tried
    output: Output | None  # what its predictor answers with
    simulator: bool = False  # it trains nothing; pages label it so


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="text-generation",
            title="Text generation",
            summary="Trains a compact GPT from scratch on your texts; the result continues a prompt.",
            modality="text",
            config="engine.recipes.text_generation.config.TextGenerationConfig",
            trainer="engine.recipes.text_generation.trainer.build",
            predictor="engine.recipes.text_generation.predictor.TextGenerationPredictor",
            output="text",
        ),
        Recipe(
            name="image-classification",
            title="Image classification",
            summary="Trains a residual network sized by your images; the result names an image's class.",
            modality="image",
            config="engine.recipes.image_classification.config.ImageClassificationConfig",
            trainer="engine.recipes.image_classification.trainer.build",
            predictor="engine.recipes.image_classification.predictor.ImageClassificationPredictor",
            output="labels",
        ),
        Recipe(
            name="simulate",
            title="Simulator",
            summary="Trains nothing: acts like a job of a chosen length, to try queue, pages and failures.",
            modality=None,
            config="engine.recipes.simulate.config.SimulateConfig",
            trainer="engine.recipes.simulate.trainer.build",
            predictor=None,
            output=None,
            simulator=True,
        ),
    )
}


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
    try:
        return config_class(name).model_validate(values)
    except ValidationError as error:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"The configuration of {name} is not valid: {explain(error)}.",
            "Correct the named settings and start the job again.",
        ) from error


def explain(error: ValidationError) -> str:
    """What is wrong, as 'field: reason' joined by semicolons."""
    parts = []
    for problem in error.errors():
        # Branches of a union ('auto' or a number) end in a marker that is of no use to a reader.
        field = str(problem["loc"][0]) if problem["loc"] else ""
        reason = problem["msg"].removeprefix("Value error, ")
        parts.append(f"{field}: {reason}" if field else reason)
    return "; ".join(dict.fromkeys(parts)).rstrip(".")


def load(dotted: str) -> Any:
    """The object at a dotted path `package.module.name`."""
    module, _, name = dotted.rpartition(".")
    return getattr(import_module(module), name)

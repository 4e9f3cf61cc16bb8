"""Trying a version: a model process outside the web process answers."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from typing import Any

from django.db import connection

from common.errors import ConflictError, InvalidInputError, UnavailableError
from common.numbers import finite
from common.paths import model_socket
from engine import catalogue
from engine.predict import Given, ModelNotLoaded, PredictionTimeout, PredictionUnavailable
from engine.predict import predict as ask_model
from engine.protocol import EngineError, FailureCode
from registry.loading import KEY, note_refusal, order_of
from registry.models import ModelVersion
from registry.versions import USE_ANOTHER, why_unusable

MAX_INPUTS = 64
TIMEOUT_SECONDS = 30.0
PICTURE_SECONDS = 120.0  # a picture takes many steps
WANTED = {
    "text": "text in UTF-8",
    "file": "a file, or its bytes in base64",
    "rows": "rows as a list of objects, or a CSV, JSON or Parquet file",
}
# The sender's fault; any other code means that the model process could not do its work.
INPUT_FAULTS = {FailureCode.BAD_DATA, FailureCode.BAD_CONFIG}


@dataclass(frozen=True)
class Prediction:
    outputs: list[dict[str, Any]]  # one for each input, in order
    version: ModelVersion
    latency_ms: float


def predict(version: ModelVersion, inputs: list[Given], parameters: dict[str, Any] | None = None) -> Prediction:
    """What the version makes of the inputs: texts, the bytes of files, or tables. A text given to a model that takes
    files is base64, with or without a data-URL in front; given to one that takes tables it is CSV or JSON. A table is
    rows ([{column: value}, …]) or a file of them.

    InvalidInputError for inputs or parameters that the model can't take, ConflictError when the version can't
    be tried at all, UnavailableError when no model process answers.
    """
    recipe = recipe_of(version)
    if not 1 <= len(inputs) <= MAX_INPUTS:
        raise InvalidInputError(
            f"There must be 1 to {MAX_INPUTS} inputs, not {len(inputs)}.",
            "Send them in several requests.",
            fields={"inputs": [f"Send 1 to {MAX_INPUTS}."]},
        )
    ready = [prepared(given, recipe, number) for number, given in enumerate(inputs, 1)]
    started = time.monotonic()
    let_go()
    try:
        outputs = ask_model(
            socket_path=model_socket(),
            order=lambda: order_of(version),
            key=f"{KEY}{version.pk}",
            inputs=ready,
            parameters=parameters or {},
            timeout=PICTURE_SECONDS if recipe.output == "image" else TIMEOUT_SECONDS,
        )
    except EngineError as error:
        raise told(version, error) from error
    return Prediction(finite(outputs), version, round((time.monotonic() - started) * 1000, 1))


def let_go() -> None:
    """Give the connection to the database back to its pool while a model thinks: others wait for one meanwhile."""
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()


def can_be_tried(version: ModelVersion) -> bool:
    """Whether `predict` has a chance: the version is usable, has files, and its recipe can predict."""
    recipe = catalogue.RECIPES.get(version.model.recipe)
    return bool(version.usable and version.artifact and recipe and recipe.predictor)


def recipe_of(version: ModelVersion) -> catalogue.Recipe:
    """The recipe of a version that can be tried; ConflictError when it can't."""
    if can_be_tried(version):
        return catalogue.RECIPES[version.model.recipe]
    if version.standing in ("archived", "damaged"):
        raise ConflictError(why_unusable(version), USE_ANOTHER[version.standing])
    raise ConflictError(
        f"{version} can't be tried: it is {version.get_status_display().lower()}, made by {version.model.recipe}.",
        "Choose a ready version of a recipe that makes a model.",
    )


def prepared(given: Given, recipe: catalogue.Recipe, number: int) -> Given:
    """An input as the recipe's predictor takes it: see `Recipe.takes`."""
    wanted = WANTED[recipe.takes]
    try:
        match recipe.takes, given:
            case "rows", list():
                return given
            case "rows", str():
                return given.encode()
            case "text", bytes():
                return given.decode("utf-8")
            case "file", str():
                return base64.b64decode(given.partition(",")[2] if given.startswith("data:") else given, validate=True)
            case _, str() | bytes():
                return given
    except (UnicodeError, binascii.Error, ValueError):
        pass
    raise InvalidInputError(
        f"Input {number} can't be read.", f"Send {wanted}.", fields={f"inputs.{number - 1}": [f"Send {wanted}."]}
    )


def told(version: ModelVersion, error: EngineError) -> InvalidInputError | UnavailableError | ConflictError:
    """What the model server said, for whoever asked; a version whose bytes are others is marked."""
    note_refusal(version, error)
    return translated(error)


def translated(error: EngineError) -> InvalidInputError | UnavailableError | ConflictError:
    """What a model or its server said, as the hub says it."""
    if isinstance(error, ModelNotLoaded):
        return ConflictError(error.message, error.hint)
    if isinstance(error, PredictionUnavailable | PredictionTimeout) or error.code not in INPUT_FAULTS:
        return UnavailableError(error.message, error.hint)
    return InvalidInputError(error.message, error.hint)

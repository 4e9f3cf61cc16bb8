"""What a job starts from: an earlier version of the same recipe, or a model folder of the hub; checked when it is made,
and found again on the node that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InvalidInputError
from engine import catalogue
from jobs.models import Job
from registry import bases, versions
from registry.artifacts import with_bases
from registry.models import ModelVersion

SETTING = "base_model"


def offered(recipe: str | None) -> list[bases.Base]:
    """The model folders of the hub that a recipe can start from; None: all that are usable."""
    if recipe is None:
        return bases.listed()
    known = SETTING in catalogue.config_class(recipe).model_fields
    return bases.listed(catalogue.recipe(recipe).base_holds) if known else []


def check_folder(recipe: str, config: Mapping[str, Any]) -> None:
    """InvalidInputError, naming what there is, when the setting names a folder that can't be started from."""
    if name := config.get(SETTING):
        bases.find(name, catalogue.recipe(recipe).base_holds)


def check_version(recipe: str, version: ModelVersion | None) -> None:
    """InvalidInputError for a version that this recipe can't start from. A simulator only pretends, with any."""
    kind = catalogue.recipe(recipe)
    if version is None or kind.simulator:
        return
    if not kind.bases:
        message = f"The recipe {recipe} always starts from scratch; it can't start from {version}."
        raise _refused(message, "Leave the base version out.")
    if not version.usable:
        yet = " yet" if version.standing == "processing" else ""
        message = f"{version} is {version.standing}: there is nothing to start from{yet}."
        raise _refused(message, "Choose a ready version, or wait until this one is.")
    if version.model.recipe != recipe:
        message = f"{version} was made by {version.model.recipe}, and {recipe} can start from its own versions only."
        raise _refused(message, f"Choose a version that {recipe} made, or none.")


def hold(recipe: str, config: Mapping[str, Any], version: ModelVersion | None) -> None:
    """Until the end of the transaction that makes a job, what it starts from is not deleted. ConflictError when it was
    meanwhile."""
    kind = catalogue.recipe(recipe)
    if version is not None and kind.bases and not kind.simulator:
        versions.hold(version)


def check_one(recipe: str, config: Mapping[str, Any], version: ModelVersion | None) -> None:
    """InvalidInputError when a run would have two beginnings, or none where its settings need one."""
    if version is None and not config.get(SETTING):
        if reason := catalogue.config_class(recipe).model_validate(config).from_scratch():
            hint = "Choose a base model, or a version to base it on."
            raise InvalidInputError(reason, hint, fields={f"config.{SETTING}": [f"{reason} {hint}"]})
        return
    if version is not None and config.get(SETTING):
        message = f"The job names two models to start from: {version} and the folder '{config[SETTING]}'."
        raise _refused(message, "Keep one: clear the base version, or the setting base_model.")


def folder(job: Job) -> Path | None:
    """The folder on this machine that the run starts from; None: from scratch. Raises a ProblemError when it is not
    there, or a file of it is damaged."""
    return folder_of(job.recipe, job.config, job.base_version)


def folder_of(recipe: str, config: Mapping[str, Any], version: ModelVersion | None) -> Path | None:
    """The same for a run that is not made yet."""
    if catalogue.recipe(recipe).bases and version is not None:
        return with_bases(version)
    name = config.get(SETTING)
    return bases.find(name).folder if name else None


def _refused(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={"base_version": [message]})

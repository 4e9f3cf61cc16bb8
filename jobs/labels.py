"""What recipes that name classes need of their data, told before anything is frozen."""

from __future__ import annotations

from typing import Any

from common.errors import InvalidInputError
from datasets import overview
from datasets.freezing import versions
from datasets.freezing.splits import GIVEN
from datasets.models import Dataset, DatasetVersion
from engine import catalogue

NOUNS = {
    "image": ("images", "cats/1.png and dogs/7.png"),
    "audio": ("recordings", "zero/1.wav and one/7.wav"),
    "video": ("videos", "walk/1.mp4 and run/7.mp4"),
    "text": ("texts", "spam/1.txt and ham/7.txt"),
}


def check_classes(recipe: str, dataset: Dataset, classes: int, unlabelled: int) -> None:
    """InvalidInputError unless every item has a class, and there are two of them at least."""
    if not catalogue.recipe(recipe).labelled or dataset.status != Dataset.Status.ACTIVE:
        return
    nouns, example = NOUNS.get(dataset.modality, ("files", "one/1 and two/7"))
    if unlabelled:
        verb = "item of '{}' has" if unlabelled == 1 else "items of '{}' have"
        message = f"{unlabelled:,} {verb.format(dataset.name)} no class, and {recipe} needs one for each."
        them = "it" if unlabelled == 1 else "them"
        hint = f"Choose {them} on the dataset's page (class: none) and give {them} a class, "
        hint += f"set aside what has none, or upload the {nouns} again in one folder per class, such as {example}."
    elif classes < 2:
        found = "one class only" if classes else "no classes"
        message = f"'{dataset.name}' has {found}, and {recipe} needs at least two."
        hint = f"Put the {nouns} into one folder per class, such as {example}, and upload them again."
    else:
        return
    raise InvalidInputError(message, hint, fields={"dataset": [message]})


def check_validation(
    recipe: str, dataset: Dataset | None, version: DatasetVersion | None, split: dict[str, Any], seed: int
) -> None:
    """InvalidInputError when a recipe that needs items for validation would get none. `split` is as freezing takes it,
    None for what is left to its defaults. A large set is counted only when nothing asks for a validation part."""
    if not catalogue.recipe(recipe).labelled:
        return
    if version is not None:
        count = version.counts.get("validation", 0)
    elif dataset is None or (dataset.item_count > overview.SPLIT_AT_ONCE and _is_cut(split)):
        return
    else:
        given = {name: value for name, value in split.items() if value is not None}
        plan = versions.planned(dataset, seed=seed, **given)
        if not sum(plan.counts.values()):
            return  # freezing says what is left of it, and why
        count = plan.counts["validation"]
    if not count:
        message = f"No item would be left for validation, and {recipe} looks at some after each epoch."
        hint = "Choose another frozen version." if version else "Use a larger share for validation, such as 0.2."
        field = "dataset_version" if version else "validation_fraction"
        raise InvalidInputError(message, hint, fields={field: [f"{message} {hint}"]})


def _is_cut(split: dict[str, Any]) -> bool:
    """Whether the shares alone make a validation part of a large set."""
    return split.get("split_by") != GIVEN and split.get("validation_fraction") != 0

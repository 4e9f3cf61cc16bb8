"""The items of a version that each have a label, by part: what every recipe that names classes begins with."""

from __future__ import annotations

from dataclasses import dataclass

from engine.data import Dataset, Item, bad_data


@dataclass(frozen=True)
class Labelled:
    """Class names in their order, and the items of each part; `test` is empty when the version has none."""

    names: list[str]
    train: list[Item]
    validation: list[Item]
    test: list[Item]

    def numbers(self, items: list[Item]) -> list[int]:
        """The class number of each item."""
        places = {name: number for number, name in enumerate(self.names)}
        return [places[str(item.label)] for item in items]


def labelled(dataset: Dataset, noun: str, plural: str) -> Labelled:
    """Check what a classifier needs; EngineError BAD_DATA says what is missing, in words of the modality
    ('image', 'images')."""
    parts = [dataset.part(part) for part in ("train", "validation", "test")]
    train, validation, test = parts
    if not train:
        raise bad_data(
            f"No {noun} of this version is meant for training.",
            f"Freeze a version with a smaller validation_fraction, or add {plural}.",
        )
    if not validation:
        raise bad_data(
            f"No {noun} of this version is meant for validation.",
            "Freeze a version with a larger validation_fraction, such as 0.2.",
        )
    for item in (*train, *validation, *test):
        if item.label is None:
            raise bad_data(
                f"'{item.name}' has no label.",
                f"Put each {noun} into a folder named for its class, or remove the {plural} without label.",
            )
    present = sorted({item.label for item in train if item.label is not None})
    if len(present) < 2:
        raise bad_data(
            f"All training {plural} belong to one class: '{present[0]}'.",
            f"Add {plural} of at least one more class: a folder per class.",
        )
    names = dataset.classes or present
    unknown = {item.label for part in parts for item in part} - set(names)
    if unknown:
        raise bad_data(f"The version does not list the class '{min(map(str, unknown))}'.", "Freeze it again.")
    return Labelled(names, train, validation, test)

"""The items of a version that each have a label, by part: what every recipe that names classes begins with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
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


def labelled(dataset: Dataset, noun: str, plural: str, log: Callable[[str, str], None]) -> Labelled:
    """Check what a classifier needs; EngineError BAD_DATA says what is missing, in words of the modality
    ('image', 'images'). Classes that can't be learned well are told to the log."""
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
    _tell_rare(names, parts, noun, plural, log)
    return Labelled(names, train, validation, test)


def _tell_rare(
    names: list[str], parts: list[list[Item]], noun: str, plural: str, log: Callable[[str, str], None]
) -> None:
    """Classes that training has nothing or a single item of."""
    counts = Counter(item.label for item in parts[0])
    if missing := [name for name in names if not counts[name]]:
        others = sum(item.label in missing for part in parts[1:] for item in part)
        log(
            f"No training {noun} is of class {_listed(missing)}, so it is never named; {others:,} {plural} of other "
            "parts count as wrong.",
            "warning",
        )
    if single := [name for name in names if counts[name] == 1]:
        log(f"A single training {noun} is of class {_listed(single)}: more would help.", "warning")


def _listed(names: list[str], most: int = 10) -> str:
    return ", ".join(f"'{name}'" for name in names[:most]) + (" …" if len(names) > most else "")

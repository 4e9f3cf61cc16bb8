"""The images of a dataset version, decoded once, as one array per part."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import torch

from engine import images
from engine.data import Dataset, Item, bad_data
from engine.recipes.image_classification.config import ImageClassificationConfig

IN_MEMORY_BYTES = 1 << 30
PROBED = 200  # images that are looked at to choose size and channels
T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A split: pictures as uint8 (items, channels, size, size), and the class number of each."""

    pictures: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


def check_items(dataset: Dataset) -> tuple[list[str], list[Item], list[Item]]:
    """Class names, training items and validation items; EngineError BAD_DATA says what is missing."""
    train, validation = dataset.part("train"), dataset.part("validation")
    if not train:
        raise bad_data(
            "No image of this version is meant for training.",
            "Freeze a version with a smaller validation_fraction, or add images.",
        )
    if not validation:
        raise bad_data(
            "No image of this version is meant for validation.",
            "Freeze a version with a larger validation_fraction, such as 0.2.",
        )
    for item in (*train, *validation):
        if item.label is None:
            raise bad_data(
                f"'{item.name}' has no label.",
                "Put each image into a folder named for its class, or remove the images without label.",
            )
    present = sorted({item.label for item in train if item.label is not None})
    if len(present) < 2:
        raise bad_data(
            f"All training images belong to one class: '{present[0]}'.",
            "Add images of at least one more class: a folder per class.",
        )
    names = dataset.classes or present
    unknown = {item.label for item in (*train, *validation)} - set(names)
    if unknown:
        raise bad_data(f"The version does not list the class '{min(map(str, unknown))}'.", "Freeze it again.")
    return names, train, validation


def probe(dataset: Dataset, items: list[Item], config: ImageClassificationConfig) -> tuple[int, bool]:
    """Image size and whether in colour, by the configuration or by some of the images."""
    size, channels = config.image_size, config.channels
    some = items[:: max(1, len(items) // PROBED)]
    if size == "auto":
        sides = _map(lambda item: _guard(item, lambda data: min(images.open_image(data).size), dataset), some)
        size = _fitting_size(median(sides))
    if channels == "auto":
        colour = any(_map(lambda item: _guard(item, images.has_colour, dataset), some))
    else:
        colour = channels == "colour"
    return size, colour


def load_part(
    dataset: Dataset,
    items: list[Item],
    names: list[str],
    size: int,
    colour: bool,
    scratch: Path,
    breathe: Callable[[], None],
) -> Part:
    """Decode all images of a part. EngineError BAD_DATA names the first that can't be decoded."""
    pictures = _room((len(items), 3 if colour else 1, size, size), scratch)
    decoded = _map(lambda item: _guard(item, lambda data: images.decode(data, size, colour), dataset), items)
    for index, picture in enumerate(decoded):
        pictures[index] = picture
        if index % 256 == 0:
            breathe()
    numbers = {name: number for number, name in enumerate(names)}
    labels = torch.tensor([numbers[str(item.label)] for item in items])
    return Part(torch.from_numpy(pictures), labels)


def _fitting_size(side: float) -> int:
    """Small images as they are (in steps of 4), larger ones scaled down."""
    return 64 if side > 48 else max(8, min(48, 4 * round(side / 4)))


def _guard(item: Item, use: Callable[[bytes], T], dataset: Dataset) -> T:
    try:
        return use(dataset.read(item))
    except images.BadImage as error:
        raise bad_data(f"'{item.name}' can't be used: {error}.", "Remove it and freeze a new version.") from error


def _map(work: Callable[[Item], T], items: Iterable[Item]) -> Iterable[T]:
    """Over all items in order, on all cores: decoding and hashing leave the interpreter's lock alone."""
    items = list(items)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(items), 512):
            yield from pool.map(work, items[start : start + 512])


def _room(shape: tuple[int, ...], scratch: Path) -> np.ndarray:
    """An array in memory, or, for a large set, in a file without a name: it can't outlive the run."""
    size = int(np.prod(shape))
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile(dir=scratch) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, and no crash later
        return np.memmap(file, dtype=np.uint8, mode="r+", shape=shape)

"""The images of a dataset version, decoded once, as one array per part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import torch

from engine import images
from engine.data import Dataset, Item, bad_data
from engine.decoding import in_threads, room
from engine.recipes.image_classification.config import ImageClassificationConfig

TONES = 32
PROBED = 200  # images that are looked at to choose size and channels
T = TypeVar("T")


def probe(dataset: Dataset, items: list[Item], config: ImageClassificationConfig) -> tuple[int, bool, float]:
    """Image size and whether in colour, by the configuration or by some of the images; and how much of a usual one has
    its commonest tone."""
    size, channels = config.image_size, config.channels
    some = items[:: max(1, len(items) // PROBED)]
    if size == "auto":
        sides = in_threads(lambda item: _guard(item, lambda data: min(images.open_image(data).size), dataset), some)
        size = _fitting_size(median(sides))
    if channels == "auto":
        colour = any(in_threads(lambda item: _guard(item, images.has_colour, dataset), some))
    else:
        colour = channels == "colour"
    plain = median(in_threads(lambda item: _guard(item, lambda data: _plain(data, min(size, 64)), dataset), some))
    return size, colour, plain


def _plain(data: bytes, size: int) -> float:
    """The share of an image's pixels in the fullest of 32 bins of brightness."""
    pixels = images.decode(data, size, colour=False)
    return float(np.bincount((pixels >> 3).ravel(), minlength=TONES).max() / pixels.size)


def load_part(
    dataset: Dataset,
    items: list[Item],
    size: int,
    colour: bool,
    scratch: Path,
    breathe: Callable[[], None],
) -> torch.Tensor:
    """All images of a part, uint8 of shape (items, channels, size, size). EngineError BAD_DATA names the first that
    can't be decoded."""
    pictures = room((len(items), 3 if colour else 1, size, size), scratch)
    decoded = in_threads(lambda item: _guard(item, lambda data: images.decode(data, size, colour), dataset), items)
    for index, picture in enumerate(decoded):
        pictures[index] = picture
        if index % 256 == 0:
            breathe()
    return torch.from_numpy(pictures)


def _fitting_size(side: float) -> int:
    """Small images as they are (in steps of 4), larger ones scaled down."""
    return 64 if side > 48 else max(8, min(48, 4 * round(side / 4)))


def _guard(item: Item, use: Callable[[bytes], T], dataset: Dataset) -> T:
    try:
        return use(dataset.read(item))
    except images.BadImage as error:
        raise bad_data(f"'{item.name}' can't be used: {error}.", "Remove it and freeze a new version.") from error

"""Trains a residual network on the images of a dataset version."""

from __future__ import annotations

import math
from typing import Any

import torch

from engine.classifier import ClassificationTask, Part, Parts, choose_epochs
from engine.data import Dataset, open_dataset
from engine.device import Device, choose
from engine.labelled import labelled
from engine.randomness import Dice
from engine.recipes.image_classification.augmentation import STRENGTHS, augment
from engine.recipes.image_classification.config import ImageClassificationConfig
from engine.recipes.image_classification.model import ResidualNetwork, Shape
from engine.recipes.image_classification.pictures import load_part, probe
from engine.task import Context

READY_BYTES = 256 << 20  # up to here pictures are kept as the network takes them
ON_DEVICE_BYTES = 2 << 30
TINY = 24  # pixels; below, a shift of two of them can make another class
PLAIN = 0.4  # of 32 tones the commonest has about half of a written digit, and a tenth to a third of a photo


def build(context: Context) -> ImageClassificationTask:
    """Check and decode the images, size the network by them."""
    config = context.config
    assert isinstance(config, ImageClassificationConfig)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "image")
    items = labelled(dataset, "image", "images")
    size, colour, plain = probe(dataset, items.train, config)
    parts = Parts(
        items.names,
        *(
            Part(
                load_part(dataset, part, size, colour, context.spec.work_dir, context.breathe),
                torch.tensor(items.numbers(part), dtype=torch.long),
            )
            for part in (items.train, items.validation, items.test)
        ),
    )
    strength = config.augmentation
    if strength == "auto":
        strength, why = choose_strength(size, plain)
        context.log(f"Augmentation is {strength}: {why}.")
    shape = choose_shape(config, size, colour, len(items.train), len(items.names))
    context.log(
        f"Images of {size}x{size} pixels in {'colour' if colour else 'grey'}; a network of {shape.depth} "
        f"stages, the first {shape.width} wide, for {len(items.names)} classes."
    )
    return ImageClassificationTask(context, config, device, dataset, shape, parts, strength)


def choose_strength(size: int, plain: float) -> tuple[str, str]:
    """How far images are changed, and why. `plain` is the share of a usual image that has its commonest tone."""
    if size < TINY:
        return "light", f"in images of {size}x{size} pixels little tells the classes apart"
    if plain >= PLAIN:
        return "light", f"{plain:.0%} of a usual image are of one tone, as of drawings, letters and signs"
    return "strong", "the images are photos, with many tones"


def choose_shape(config: ImageClassificationConfig, size: int, colour: bool, items: int, classes: int) -> Shape:
    """The network's sizes: as configured, 'auto' by the size and number of the images."""
    width: int = _width(size, items) if config.width == "auto" else config.width
    depth: int = _depth(size) if config.depth == "auto" else config.depth
    return Shape(size, 3 if colour else 1, width, depth, classes)


def _width(size: int, items: int) -> int:
    return 32 if size >= 48 or items >= 5000 else 24


def _depth(size: int) -> int:
    return 2 if size < 8 else 3 if size < 96 else 4 if size < 192 else 5


class ImageClassificationTask(ClassificationTask):
    """See `engine.task.Task`."""

    def __init__(
        self,
        context: Context,
        config: ImageClassificationConfig,
        device: Device,
        dataset: Dataset,
        shape: Shape,
        parts: Parts,
        strength: str,
    ) -> None:
        self.config = config
        self.shape = shape
        self.mean, self.deviation = statistics(parts.train.inputs)
        self.scale = _column(1 / self.deviation / 255, device)
        self.offset = _column(self.mean / self.deviation, device)
        near = Parts(parts.names, *(self._near(part, device) for part in (parts.train, parts.validation, parts.test)))
        epochs = choose_epochs(config.epochs, math.ceil(len(parts.train) / config.batch_size))
        model = ResidualNetwork(shape, config.dropout)
        super().__init__(context, config, device, dataset, model, near, epochs)
        self.strength = STRENGTHS[strength]
        self.dice = Dice(context.spec.seed)

    def ready(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype is torch.uint8:
            inputs = normalise(inputs.to(self.device.torch, non_blocking=True), self.scale, self.offset)
        return inputs

    def vary(self, batch: torch.Tensor, index: int, share: slice, whole: int) -> torch.Tensor:
        return augment(batch, self.strength, self.config.horizontal_flip, self.dice.at(index), share, whole)

    def about(self) -> dict[str, Any]:
        return {
            "shape": self.shape.__dict__,
            "input": {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()},
        }

    def _near(self, part: Part, device: Device) -> Part:
        """A part on the device and normalised, as far as there is room; its labels always."""
        pictures = part.inputs
        if 4 * pictures.numel() <= READY_BYTES:
            pictures = normalise(pictures.to(device.torch), self.scale, self.offset)
        elif pictures.numel() <= ON_DEVICE_BYTES:
            pictures = pictures.to(device.torch)
        return Part(pictures, part.labels.to(device.torch))


def statistics(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, of values from 0 to 1, over up to 10,000 pictures."""
    some = pictures[:: max(1, len(pictures) // 10_000)].double() / 255
    return some.mean(dim=(0, 2, 3)), some.std(dim=(0, 2, 3)).clamp(min=1e-3)


def normalise(pictures: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as floats of mean 0 and deviation 1 per channel."""
    return torch.addcmul(-offset, pictures.float(), scale)


def _column(values: torch.Tensor, device: Device) -> torch.Tensor:
    return values.float().view(1, -1, 1, 1).to(device.torch)

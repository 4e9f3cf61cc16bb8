"""Trains a network on the images of a dataset version: a new one, or one that is there already."""

from __future__ import annotations

import math
from typing import Any

import torch

from engine.classifier import ClassificationTask, Part, Parts, choose_epochs
from engine.data import Dataset, open_dataset
from engine.device import Device, choose
from engine.labelled import labelled
from engine.protocol import EngineError, FailureCode
from engine.randomness import Dice
from engine.recipes.image_classification.augmentation import STRENGTHS, augment
from engine.recipes.image_classification.config import ImageClassificationConfig
from engine.recipes.image_classification.model import ResidualNetwork, Shape
from engine.recipes.image_classification.networks import Base, Inputs, started
from engine.recipes.image_classification.pictures import load_part, probe
from engine.schedule import warmup_then_cosine
from engine.task import Context
from engine.training import BETAS, make_optimizer

READY_BYTES = 256 << 20  # up to here pictures are kept as the network takes them
ON_DEVICE_BYTES = 2 << 30
RATE, TUNING_RATE = 2e-3, 1e-4  # of 'auto': from scratch, and from a base
TUNING = (400, 4)  # of 'auto' from a base: updates, and least epochs
TUNING_BATCH = 64  # in evaluation
HEAD_SCALE = 10.0  # of the learning rate of a new head
HEAD_ALONE = 0.2  # of the run, where the head is trained first
TINY = 24  # pixels; below, a shift of two of them can make another class
PLAIN = 0.4  # of 32 tones the commonest has about half of a written digit, and a tenth to a third of a photo


def build(context: Context) -> ImageClassificationTask:
    """Check and decode the images, size the network by them or open the base that it starts from."""
    config = context.config
    assert isinstance(config, ImageClassificationConfig)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "image")
    items = labelled(dataset, "image", "images", context.log)
    size, colour, plain = probe(dataset, items.train, config)
    base = None
    if (folder := context.spec.base) is not None:
        base = started(folder, items.names, config.dropout)
        size, colour = base.inputs.size, base.inputs.channels == 3
        if config.image_size not in ("auto", size):
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"The base model takes images of {size}x{size} pixels, not {config.image_size}.",
                "Set the image size to 'auto'.",
            )
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
    pictures = f"Images of {size}x{size} pixels in {'colour' if colour else 'grey'}"
    if base is None:
        shape = choose_shape(config, size, colour, len(items.train), len(items.names))
        base = from_scratch(shape, parts.train.inputs, config.dropout)
        context.log(f"{pictures}; {shape.depth} stages, the first {shape.width} wide, for {shape.classes} classes.")
    else:
        context.log(f"{pictures}; training starts from '{folder.name}', with {config.trained_part} of it trained.")
    return ImageClassificationTask(context, config, device, dataset, base, parts, strength)


def from_scratch(shape: Shape, pictures: torch.Tensor, dropout: float) -> Base:
    """A network of these sizes that takes pictures as they are spread in the training part."""
    mean, deviation = statistics(pictures)
    inputs = Inputs(shape.image_size, shape.channels, mean.tolist(), deviation.tolist())
    return Base(ResidualNetwork(shape, dropout), inputs, {"shape": shape.__dict__}, set())


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
        base: Base,
        parts: Parts,
        strength: str,
    ) -> None:
        self.config = config
        self.base = base
        self.scale, self.offset = scale_and_offset(base.inputs, device.torch)
        near = Parts(parts.names, *(self._near(part, device) for part in (parts.train, parts.validation, parts.test)))
        steps_per_epoch = math.ceil(len(parts.train) / config.batch_size)
        self.tunes = bool(base.head)
        epochs = choose_epochs(config.epochs, steps_per_epoch, *(TUNING if self.tunes else (config.auto_steps,)))
        if self.tunes:
            self.evaluation_batch = TUNING_BATCH
            for name, parameter in base.network.named_parameters():
                parameter.requires_grad_(config.trained_part != "head" or name in base.head)
        super().__init__(context, config, device, dataset, base.network, near, epochs)
        if self.tunes:
            self.optimizer = self._optimizer()
        self.strength = STRENGTHS[strength]
        self.dice = Dice(context.spec.seed)

    @property
    def compilable(self) -> bool:
        return self.team.size == 1  # several processes talk to each other inside of their batch normalisation

    def learning_rate(self, index: int) -> float:
        config = self.config
        peak = (TUNING_RATE if self.tunes else RATE) if config.learning_rate == "auto" else config.learning_rate
        steps, least = self.plan.total_steps, config.minimum_learning_rate_ratio
        return warmup_then_cosine(index, steps, peak, self.warmup, least)

    def step(self, index: int) -> tuple[dict[str, float], int]:
        if self.tunes and self.config.trained_part == "head-first":
            waits = index < HEAD_ALONE * self.plan.total_steps
            for group in self.optimizer.param_groups:
                if group["scale"] != HEAD_SCALE:
                    group["scale"] = 0.0 if waits else 1.0
        return super().step(index)

    def ready(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.dtype is torch.uint8:
            inputs = normalise(self.device.near(inputs), self.scale, self.offset)
        return inputs

    def vary(self, batch: torch.Tensor, index: int, share: slice, whole: int) -> torch.Tensor:
        return augment(batch, self.strength, self.config.horizontal_flip, self.dice.at(index), share, whole)

    def about(self) -> dict[str, Any]:
        inputs = self.base.inputs
        return {
            **self.base.facts,
            "input": {"size": inputs.size, "mean": inputs.mean, "deviation": inputs.deviation},
        }

    def _near(self, part: Part, device: Device) -> Part:
        """A part on the device and normalised, as far as there is room; its labels always."""
        pictures = part.inputs
        if 4 * pictures.numel() <= READY_BYTES:
            pictures = normalise(pictures.to(device.torch), self.scale, self.offset)
        elif pictures.numel() <= ON_DEVICE_BYTES:
            pictures = pictures.to(device.torch)
        return Part(pictures, part.labels.to(device.torch))

    def _optimizer(self) -> torch.optim.AdamW:
        """As `make_optimizer`, with the new head learning faster than what is only to be adapted."""
        optimizer = make_optimizer(self.model, self.config.weight_decay)
        groups: list[dict[str, Any]] = []
        heads = {id(p) for name, p in self.model.named_parameters() if name in self.base.head}
        for group in optimizer.param_groups:
            for scale, in_head in ((1.0, False), (HEAD_SCALE, True)):
                chosen = [p for p in group["params"] if (id(p) in heads) == in_head]
                if chosen:
                    groups.append({**group, "params": chosen, "scale": scale})
        return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, fused=True)


def scale_and_offset(inputs: Inputs, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What `normalise` takes, (1, channels, 1, 1) each."""
    mean, deviation = (torch.tensor(v, dtype=torch.float64) for v in (inputs.mean, inputs.deviation))
    return _column(1 / deviation / 255, device), _column(mean / deviation, device)


def statistics(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, of values from 0 to 1, over up to 10,000 pictures."""
    some = pictures[:: max(1, len(pictures) // 10_000)].double() / 255
    return some.mean(dim=(0, 2, 3)), some.std(dim=(0, 2, 3)).clamp(min=1e-3)


def normalise(pictures: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as floats of mean 0 and deviation 1 per channel."""
    return torch.addcmul(-offset, pictures.float(), scale)


def _column(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    return values.float().view(1, -1, 1, 1).to(device)

"""Trains a network on frames of a dataset version's videos."""

from __future__ import annotations

import math
from typing import Any

import torch

from engine.classifier import ClassificationTask, Part, Parts, choose_epochs, label_tensor
from engine.data import Dataset, open_dataset
from engine.device import Device, choose
from engine.labelled import labelled
from engine.randomness import Dice
from engine.recipes.image_classification.augmentation import STRENGTHS, augment
from engine.recipes.video_classification.clips import drawn, even, load_part
from engine.recipes.video_classification.config import VideoClassificationConfig
from engine.recipes.video_classification.model import FilmNetwork, Shape
from engine.task import Context

ON_DEVICE_BYTES = 2 << 30


def build(context: Context) -> VideoClassificationTask:
    """Check and decode the videos, size the network by their number."""
    config = context.config
    assert isinstance(config, VideoClassificationConfig)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "video")
    items = labelled(dataset, "video", "videos", context.log)
    size, frames = config.image_size, config.frames
    parts: list[Part] = []
    for part in (items.train, items.validation, items.test):
        clips = load_part(dataset, part, frames, size, context.spec.work_dir, context.breathe)
        near = clips.to(device.torch) if clips.nbytes <= ON_DEVICE_BYTES else clips
        parts.append(Part(near, label_tensor(items.numbers(part), device.torch)))
    width = _width(len(items.train)) if config.width == "auto" else config.width
    shape = Shape(size, frames, width, config.depth, len(items.names))
    context.log(
        f"{frames} frames of each video, of {size}x{size} pixels; a network of {shape.depth} stages, the first "
        f"{width} wide, for {shape.classes} classes."
    )
    return VideoClassificationTask(context, config, device, dataset, shape, Parts(items.names, *parts))


def _width(videos: int) -> int:
    return 16 if videos < 1000 else 24 if videos < 10_000 else 32


class VideoClassificationTask(ClassificationTask):
    """See `engine.task.Task`."""

    evaluation_batch = 16

    def __init__(
        self,
        context: Context,
        config: VideoClassificationConfig,
        device: Device,
        dataset: Dataset,
        shape: Shape,
        parts: Parts,
    ) -> None:
        self.config = config
        self.shape = shape
        self.strength = STRENGTHS[config.augmentation]
        self.dice = Dice(context.spec.seed)
        epochs = choose_epochs(config.epochs, math.ceil(len(parts.train) / config.batch_size), config.auto_steps)
        model = FilmNetwork(shape, config.dropout)
        super().__init__(context, config, device, dataset, model, parts, epochs)

    def ready(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs

    def vary(self, batch: torch.Tensor, index: int, share: slice, whole: int) -> torch.Tensor:
        generator = self.dice.at(index)
        if self.strength is None:
            chosen = even(batch)
        else:
            chosen = drawn(batch, torch.rand(whole, self.shape.frames, generator=generator)[share].to(batch.device))
        clips = normalised(self.device.near(chosen))
        # All frames of a video as the channels of one picture: they are moved together.
        flat = augment(clips.flatten(1, 2), self.strength, self.config.horizontal_flip, generator, share, whole)
        return flat.view_as(clips)

    def answer(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model(normalised(self.device.near(even(inputs))))

    def about(self) -> dict[str, Any]:
        return {"shape": self.shape.__dict__}


def normalised(clips: torch.Tensor) -> torch.Tensor:
    """uint8 frames (batch, frames, 3, size, size) as floats, each video of mean 0 and deviation 1."""
    values = clips.float()
    mean = values.mean(dim=(1, 2, 3, 4), keepdim=True)
    return (values - mean) / (values.std(dim=(1, 2, 3, 4), keepdim=True) + 1)

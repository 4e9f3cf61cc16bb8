"""Trains a residual network on the images of a dataset version."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from engine.artifact import make_artifact
from engine.data import Dataset, open_dataset
from engine.device import Device, choose
from engine.randomness import Dice
from engine.recipes.image_classification.augmentation import STRENGTHS, augment
from engine.recipes.image_classification.config import ImageClassificationConfig
from engine.recipes.image_classification.model import ResidualNetwork, Shape
from engine.recipes.image_classification.pictures import Part, check_items, load_part, probe
from engine.schedule import warmup_then_cosine
from engine.task import Context, Plan
from engine.training import TorchTask, check_batch, count_parameters

AUTO_STEPS = 1200
READY_BYTES = 256 << 20  # up to here pictures are kept as the network takes them
ON_DEVICE_BYTES = 2 << 30
EVALUATION_BATCH = 256


def build(context: Context) -> ImageClassificationTask:
    """Check and decode the images, size the network by them."""
    config = context.config
    assert isinstance(config, ImageClassificationConfig)
    device = choose(context.spec.device, config.precision)
    dataset = open_dataset(context.spec.data, "image")
    names, train_items, validation_items = check_items(dataset)
    size, colour = probe(dataset, train_items, config)
    parts = [
        load_part(dataset, items, names, size, colour, context.spec.work_dir, context.breathe)
        for items in (train_items, validation_items)
    ]
    shape = choose_shape(config, size, colour, len(train_items), len(names))
    context.log(
        f"Images of {size}x{size} pixels in {'colour' if colour else 'grey'}; a network of {shape.depth} "
        f"stages, the first {shape.width} wide, for {len(names)} classes."
    )
    return ImageClassificationTask(context, config, device, dataset, names, shape, *parts)


def choose_shape(config: ImageClassificationConfig, size: int, colour: bool, items: int, classes: int) -> Shape:
    """The network's sizes: as configured, 'auto' by the size and number of the images."""
    width: int = (24 if items < 5000 else 32) if config.width == "auto" else config.width
    depth: int = (2 if size < 8 else 3 if size < 48 else 4) if config.depth == "auto" else config.depth
    return Shape(size, 3 if colour else 1, width, depth, classes)


class ImageClassificationTask(TorchTask):
    """See `engine.task.Task`."""

    def __init__(
        self,
        context: Context,
        config: ImageClassificationConfig,
        device: Device,
        dataset: Dataset,
        names: list[str],
        shape: Shape,
        train: Part,
        validation: Part,
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.names = names
        self.shape = shape
        self.count = len(train)
        self.steps_per_epoch = math.ceil(self.count / config.batch_size)
        check_batch(self.count // self.steps_per_epoch, context.team.size)
        steps = self.steps_per_epoch * choose_epochs(config, self.steps_per_epoch)
        model = ResidualNetwork(shape, config.dropout)
        plan = Plan(
            total_steps=steps,
            steps_per_epoch=self.steps_per_epoch,
            parameters=count_parameters(model),
            train_items=self.count,
            validation_items=len(validation),
            evaluate_every=self.steps_per_epoch,
        )
        super().__init__(context, device, model, plan, config.weight_decay, config.gradient_clip)
        self.warmup = int(config.warmup_ratio * steps)
        self.mean, self.deviation = statistics(train.pictures)
        self.scale = _column(1 / self.deviation / 255, device)
        self.offset = _column(self.mean / self.deviation, device)
        self.train = self._near(train)
        self.validation = self._near(validation)
        self.strength = STRENGTHS[config.augmentation]
        self.dice = Dice(context.spec.seed)
        self.shuffle = Dice(context.spec.seed + 1)
        self.order_of: tuple[int, torch.Tensor] | None = None  # the epoch's number, its order
        self.confusion = torch.zeros(len(names), len(names), dtype=torch.long)

    def learning_rate(self, index: int) -> float:
        config = self.config
        return warmup_then_cosine(
            index,
            self.plan.total_steps,
            config.learning_rate,
            self.warmup,
            config.minimum_learning_rate_ratio,
        )

    def examples(self, index: int) -> int:
        start, end = self._bounds(index)
        return end - start

    def batch(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        start, end = self._bounds(index)
        share = self.team.share(end - start)
        chosen = self._order(index // self.steps_per_epoch)[start:end][share]
        pictures = self._ready(self.train.pictures[chosen.to(self.train.pictures.device)])
        pictures = augment(
            pictures, self.strength, self.config.horizontal_flip, self.dice.at(index), share, end - start
        )
        return pictures, self.train.labels[chosen.to(self.train.labels.device)]

    def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        pictures, labels = batch
        logits = self.model(pictures).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        right = (logits.detach().argmax(1) == labels).mean(dtype=torch.float32)
        return loss, {"train/accuracy": right}

    @torch.no_grad()
    def evaluate(self, final: bool) -> dict[str, float]:
        """On all validation images each time; keeps the confusion matrix for the artifact."""
        self.model.eval()
        classes = len(self.names)
        try:
            total, pairs = self.team.total(self._evaluate_share, 1 + classes**2).split([1, classes**2])
        finally:
            self.model.train()
        self.confusion = pairs.long().view(classes, classes)
        count = len(self.validation)
        right = self.confusion.diagonal().sum().item()
        return {"validation/loss": total.item() / count, "validation/accuracy": right / count}

    def _evaluate_share(self) -> torch.Tensor:
        """Sum of the losses, then how often each pair of true and predicted class came: (1 + classes²) numbers."""
        classes = len(self.names)
        sums = torch.zeros(1 + classes * classes, dtype=torch.float64)
        mine = self.team.share(len(self.validation))
        for start in range(mine.start, mine.stop, EVALUATION_BATCH):
            self.context.breathe()
            part = slice(start, min(start + EVALUATION_BATCH, mine.stop))
            labels = self.validation.labels[part]
            with self.device.autocast():
                logits = self.model(self._ready(self.validation.pictures[part])).float()
            sums[0] += F.cross_entropy(logits, labels, reduction="sum").item()
            pairs = (labels * classes + logits.argmax(1)).cpu()
            sums[1:] += torch.bincount(pairs, minlength=classes * classes)
        return sums

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        about = {
            "classes": self.names,
            "shape": self.shape.__dict__,
            "input": {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()},
            "parameters": self.plan.parameters,
        }
        return make_artifact(self.context, self.model, about, self.dataset, {**metrics, **self._by_class()})

    def _bounds(self, index: int) -> tuple[int, int]:
        """Where a step's batch lies in its epoch's order. The batches of an epoch differ by at most one
        item in size, so there is no tiny last one."""
        place = index % self.steps_per_epoch
        return place * self.count // self.steps_per_epoch, (place + 1) * self.count // self.steps_per_epoch

    def _order(self, epoch: int) -> torch.Tensor:
        """The order of the items in an epoch, a function of seed and epoch."""
        if self.order_of is None or self.order_of[0] != epoch:
            self.order_of = epoch, torch.randperm(self.count, generator=self.shuffle.at(epoch))
        return self.order_of[1]

    def _near(self, part: Part) -> Part:
        """A part on the device and normalised, as far as there is room; its labels always."""
        pictures = part.pictures
        if 4 * pictures.numel() <= READY_BYTES:
            pictures = normalise(pictures.to(self.device.torch), self.scale, self.offset)
        elif pictures.numel() <= ON_DEVICE_BYTES:
            pictures = pictures.to(self.device.torch)
        return Part(pictures, part.labels.to(self.device.torch))

    def _ready(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures of a part as the network takes them."""
        if pictures.dtype is torch.uint8:
            pictures = normalise(pictures.to(self.device.torch, non_blocking=True), self.scale, self.offset)
        return pictures

    def _by_class(self) -> dict[str, Any]:
        totals = self.confusion.sum(1).tolist()
        right = self.confusion.diagonal().tolist()
        shares = zip(self.names, right, totals, strict=True)
        return {
            "accuracy_by_class": {name: r / t if t else None for name, r, t in shares},
            "confusion": self.confusion.tolist(),  # rows: true class, columns: predicted
        }


def choose_epochs(config: ImageClassificationConfig, steps_per_epoch: int) -> int:
    """As configured, or enough for a small set to be learned without a large one taking for ever."""
    if config.epochs != "auto":
        return config.epochs
    return max(10, min(100, math.ceil(AUTO_STEPS / steps_per_epoch)))


def statistics(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, of values from 0 to 1, over up to 10,000 pictures."""
    some = pictures[:: max(1, len(pictures) // 10_000)].double() / 255
    return some.mean(dim=(0, 2, 3)), some.std(dim=(0, 2, 3)).clamp(min=1e-3)


def normalise(pictures: torch.Tensor, scale: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """uint8 pictures as floats of mean 0 and deviation 1 per channel."""
    return torch.addcmul(-offset, pictures.float(), scale)


def _column(values: torch.Tensor, device: Device) -> torch.Tensor:
    return values.float().view(1, -1, 1, 1).to(device.torch)

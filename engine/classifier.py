"""Training of networks that name the class of inputs, whatever these are: pictures, sounds, films, texts.

A recipe decodes its items once into one array per part and says how a batch of them is made ready, varied, and put
through its network. Order, evaluation, figures and report are the same for all.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine import scores
from engine.artifact import make_artifact
from engine.config import RecipeConfig, auto_epochs
from engine.data import Dataset
from engine.device import Device
from engine.randomness import Dice
from engine.report import AnyBlock
from engine.schedule import warmup_then_cosine
from engine.task import Context, Plan
from engine.training import TorchTask, check_batch, count_parameters

EVALUATION_BATCH = 256
# Looking at the validation part after each of many short epochs would cost nearly as much as training.
EVALUATIONS = 30


@dataclass(frozen=True)
class Part:
    """A part of the data: inputs (items, …) as they are kept, and the class number of each (items,). Inputs are
    a tensor, or anything else that has a device and is indexed as one."""

    inputs: Any
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Parts:
    """What is learned from, what is looked at on the way, and what is looked at once, at the end (it may be empty)."""

    names: list[str]
    train: Part
    validation: Part
    test: Part


class Settings(Protocol):
    """What the configuration of every classifier has."""

    batch_size: int
    learning_rate: float
    label_smoothing: float
    warmup_ratio: float
    minimum_learning_rate_ratio: float
    weight_decay: float
    gradient_clip: float


class ClassificationTask(TorchTask):
    """See `engine.task.Task`."""

    ahead_of_steps = True
    evaluation_batch = EVALUATION_BATCH

    def __init__(
        self,
        context: Context,
        config: Settings,
        device: Device,
        dataset: Dataset,
        model: nn.Module,
        parts: Parts,
        epochs: int,
    ) -> None:
        assert isinstance(config, RecipeConfig)
        self.settings = config
        self.dataset = dataset
        self.names = parts.names
        self.count = len(parts.train)
        self.steps_per_epoch = math.ceil(self.count / config.batch_size)
        check_batch(self.count // self.steps_per_epoch, context.team.size)
        steps = self.steps_per_epoch * epochs
        plan = Plan(
            total_steps=steps,
            steps_per_epoch=self.steps_per_epoch,
            parameters=count_parameters(model),
            train_items=self.count,
            validation_items=len(parts.validation),
            evaluate_every=self.steps_per_epoch * math.ceil(epochs / EVALUATIONS),
            keep_best=getattr(config, "keep", "last") == "best",
            patience=getattr(config, "patience", 0),
        )
        super().__init__(context, device, device.arrange(model), plan, config.weight_decay, config.gradient_clip)
        self.warmup = int(config.warmup_ratio * steps)
        self.parts = parts
        self.commonest = int(torch.bincount(parts.train.labels, minlength=len(parts.names)).argmax())
        self.shuffle = Dice(context.spec.seed + 1)
        self.order_of: tuple[int, torch.Tensor] | None = None  # the epoch's number, its order
        self.seen: dict[str, np.ndarray] = {}  # probabilities of the last evaluation, by part

    @abstractmethod
    def ready(self, inputs: Any) -> Any:
        """Inputs as they are kept → what the network takes, on the device."""

    def vary(self, batch: Any, index: int, share: slice, whole: int) -> Any:
        """Random changes of a training batch: a pure function of (seed, index). The batch is this share of one of
        `whole` items. None unless a recipe has some."""
        return batch

    def logits(self, batch: Any) -> torch.Tensor:
        """The network's answer, (batch, classes)."""
        return self.model(batch)

    def answer(self, inputs: Any) -> torch.Tensor:
        """The same for inputs as they are kept, when it is judged: a recipe may look at several parts of each."""
        return self.logits(self.ready(inputs))

    def about(self) -> dict[str, Any]:
        """What the recipe's predictor needs beside weights and class names."""
        return {}

    def extra_files(self) -> dict[str, bytes]:
        """Further files of the artifact."""
        return {}

    def learning_rate(self, index: int) -> float:
        config = self.settings
        return warmup_then_cosine(
            index, self.plan.total_steps, config.learning_rate, self.warmup, config.minimum_learning_rate_ratio
        )

    def examples(self, index: int) -> int:
        start, end = self._bounds(index)
        return end - start

    def batch(self, index: int) -> tuple[Any, torch.Tensor]:
        start, end = self._bounds(index)
        share = self.team.share(end - start)
        chosen = self._order(index // self.steps_per_epoch)[start:end][share]
        train = self.parts.train
        inputs = self.ready(train.inputs[chosen.to(train.inputs.device)])
        return self.vary(inputs, index, share, end - start), train.labels[chosen.to(train.labels.device)]

    def loss(self, batch: tuple[Any, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        inputs, labels = batch
        logits = self.logits(inputs).float()
        loss = F.cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
        right = (logits.detach().argmax(1) == labels).mean(dtype=torch.float32)
        return loss, {"train/accuracy": right}

    def evaluate(self, final: bool) -> dict[str, float]:
        """On all of the validation part each time, and at the end on the test part, if there is one."""
        found = self._look("validation", self.parts.validation)
        if final and len(self.parts.test):
            found |= self._look("test", self.parts.test)
        if final:
            found |= scores.trivial(self.parts.validation.labels.cpu().numpy(), len(self.names), self.commonest)
        return found

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        about = {"classes": self.names, "parameters": self.plan.parameters, **self.about()}
        return make_artifact(self.context, self.model, about, self.dataset, metrics) | self.extra_files()

    def report(self) -> list[AnyBlock]:
        blocks: list[AnyBlock] = []
        for part in ("test", "validation"):
            if (probabilities := self.seen.get(part)) is not None:
                truth = getattr(self.parts, part).labels.cpu().numpy()
                blocks += scores.report(self.names, part, probabilities, truth, self.commonest)
        return blocks

    @torch.no_grad()
    def _look(self, name: str, part: Part) -> dict[str, float]:
        self.model.eval()
        classes = len(self.names)
        mine = self.team.share(len(part))

        def judge(rows: slice) -> torch.Tensor:
            with self.device.autocast():
                logits = self.answer(part.inputs[rows])
            return logits.float().log_softmax(1).double().cpu()

        def probabilities() -> torch.Tensor:
            # Of a team each process fills in its rows; the sum has all of them.
            found = torch.zeros(len(part), classes, dtype=torch.float64)
            for rows, logs in self.fitting.judged(mine, self.evaluation_batch, judge):
                found[rows] = logs
            return found.view(-1)

        try:
            logs = self.team.total(probabilities, len(part) * classes).view(len(part), classes)
        finally:
            self.model.train()
        truth = part.labels.cpu()
        self.seen[name] = seen = logs.exp().numpy()
        loss = F.nll_loss(logs, truth).item()
        return {f"{name}/loss": loss, **scores.metrics(name, seen, truth.numpy())}

    def _bounds(self, index: int) -> tuple[int, int]:
        """Where a step's batch lies in its epoch's order. The batches of an epoch differ by at most one
        item in size, so there is no tiny last one."""
        place = index % self.steps_per_epoch
        return place * self.count // self.steps_per_epoch, (place + 1) * self.count // self.steps_per_epoch

    def _order(self, epoch: int) -> torch.Tensor:
        """The items of an epoch in their order, a function of seed and epoch."""
        if self.order_of is None or self.order_of[0] != epoch:
            self.order_of = epoch, self._drawn(self.shuffle.at(epoch))
        return self.order_of[1]

    def _drawn(self, generator: torch.Generator) -> torch.Tensor:
        """Places of items: each once, or as many, of all classes equally many."""
        if getattr(self.settings, "sampling", "natural") == "natural":
            return torch.randperm(self.count, generator=generator)
        labels = self.parts.train.labels.cpu()
        rarity = 1 / torch.bincount(labels).double()
        # Numbers along the summed rarities, evenly spread: no class is drawn too often by chance.
        steps = (torch.arange(self.count) + torch.rand(1, generator=generator)) / self.count
        order = torch.randperm(self.count, generator=generator)
        order = order[labels[order].argsort(stable=True)]
        bounds = rarity[labels[order]].cumsum(0)
        drawn = order[torch.searchsorted(bounds, steps.double() * bounds[-1]).clamp(max=self.count - 1)]
        return drawn[torch.randperm(self.count, generator=generator)]


def choose_epochs(epochs: int | str, steps_per_epoch: int, steps: int, least: int = 10) -> int:
    """As configured, or enough for a small set to be learned without a large one taking for ever."""
    return epochs if isinstance(epochs, int) else auto_epochs(steps_per_epoch, steps, least)


def label_tensor(numbers: Sequence[int], device: torch.device) -> torch.Tensor:
    """Class numbers as the network's loss takes them."""
    return torch.tensor(list(numbers), dtype=torch.long, device=device)

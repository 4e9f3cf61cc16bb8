"""Training. `ClassificationTask` brings the loop's side: order, evaluation, figures, report, exact resuming."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from engine.classifier import ClassificationTask, Part, Parts, label_tensor
from engine.data import Item, open_dataset
from engine.device import choose
from engine.labelled import labelled
from engine.task import Context
from word_bag.config import WordBagConfig
from word_bag.words import bag


def build(context: Context) -> WordBagTask:
    """Called once for a run, with its settings and its frozen data."""
    config = context.config
    assert isinstance(config, WordBagConfig)
    device = choose(context.spec.device, "float32")
    dataset = open_dataset(context.spec.data, "text")
    items = labelled(dataset, "text", "texts", context.log)

    def part(some: list[Item]) -> Part:
        bags = [bag(dataset.text(item), config.words) for item in some]
        inputs = torch.stack(bags) if bags else torch.zeros(0, config.words)
        return Part(inputs.to(device.torch), label_tensor(items.numbers(some), device.torch))

    parts = Parts(items.names, part(items.train), part(items.validation), part(items.test))
    model = nn.Linear(config.words, len(items.names))
    context.log(f"Texts as bags of {config.words:,} words, for {len(items.names)} classes.")
    return WordBagTask(context, config, device, dataset, model, parts, config.epochs)


class WordBagTask(ClassificationTask):
    """See `engine.task.Task`."""

    def ready(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs.to(self.device.torch)

    def about(self) -> dict[str, Any]:
        return {"words": self.model.in_features}

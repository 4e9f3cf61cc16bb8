"""Trains a linear model on words and letters, or fine-tunes a language model, to name the class of texts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from engine import artifact, hugging_face, state
from engine.classifier import ClassificationTask, Part, Parts, choose_epochs, label_tensor
from engine.data import Dataset, Item, bad_data, open_dataset
from engine.device import Device, choose
from engine.labelled import Labelled, labelled
from engine.protocol import EngineError, FailureCode
from engine.recipes.text_classification.config import TextClassificationConfig
from engine.recipes.text_classification.encoder import LONGEST, Texts, from_base
from engine.recipes.text_classification.features import Bags, Counts, Vocabulary, count, learn, weigh
from engine.recipes.text_classification.model import Linear
from engine.task import Context

VOCABULARY = "vocabulary.safetensors"
NUMBERS = 4_000_000  # of a linear model: with many classes fewer features are kept
LEAST_FEATURES = 20_000
LEAST_UPDATES = 100  # of a base model
EPOCHS = 3


def build(context: Context) -> ClassificationTask:
    """Read the texts and make them features, or tokens of the base model."""
    config = context.config
    assert isinstance(config, TextClassificationConfig)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "text")
    if context.spec.base is None and (reason := config.from_scratch()):
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"{reason} This run has none.",
            "Choose a base model or a base version, or set the method to auto.",
        )
    items = labelled(dataset, "text", "texts", context.log)
    train, validation, test = (read(context, dataset, part) for part in (items.train, items.validation, items.test))
    if context.spec.base is not None:
        return FineTuningTask(context, config, device, dataset, items, (train, validation, test))
    return LinearTask(context, config, device, dataset, items, (train, validation, test))


def read(context: Context, dataset: Dataset, items: list[Item]) -> list[str]:
    """What the items say; EngineError BAD_DATA names one that says nothing."""
    texts = []
    for number, item in enumerate(items):
        if number % 256 == 0:
            context.breathe()
        text = dataset.text(item)
        if not text.strip():
            raise bad_data(f"'{item.name}' is empty.", "Remove items without text, and freeze a new version.")
        texts.append(text)
    return texts


class LinearTask(ClassificationTask):
    """See `engine.task.Task`. A weight for each feature and class."""

    def __init__(
        self,
        context: Context,
        config: TextClassificationConfig,
        device: Device,
        dataset: Dataset,
        items: Labelled,
        texts: tuple[list[str], ...],
    ) -> None:
        if not config.words and config.letters < 2:
            raise EngineError(
                FailureCode.BAD_CONFIG, "There are neither words nor letters to learn from.", "Set words to 1 or more."
            )
        self.vocabulary, bags = features_of(context, config, texts, len(items.names))
        parts = parts_of(items, bags, device)
        epochs = choose_epochs(config.epochs, math.ceil(len(parts.train) / config.batch_size), config.auto_steps)
        model = Linear(self.vocabulary.size, len(items.names), config.dropout)
        rate = 0.02 if config.learning_rate == "auto" else config.learning_rate
        chosen = config.model_copy(update={"learning_rate": rate})
        super().__init__(context, chosen, device, dataset, model, parts, epochs)
        context.log(f"{self.vocabulary.size:,} words and runs of letters tell {len(items.names)} classes apart.")

    def ready(self, inputs: Bags) -> tuple[torch.Tensor, torch.Tensor]:
        numbers, weights = inputs.padded()
        return self.device.near(numbers), self.device.near(weights)

    def extra_files(self) -> dict[str, bytes]:
        return {VOCABULARY: state.save(self.vocabulary.tensors())}


class FineTuningTask(ClassificationTask):
    """See `engine.task.Task`. A base model with a head for the classes."""

    evaluation_batch = 32

    def __init__(
        self,
        context: Context,
        config: TextClassificationConfig,
        device: Device,
        dataset: Dataset,
        items: Labelled,
        texts: tuple[list[str], ...],
    ) -> None:
        assert context.spec.base is not None
        self.encoder = from_base(context, context.spec.base, items.names, config.method, config.lora_rank)
        self.longest = self._longest(config, texts[0])
        rows = [self.encoder.rows(part, self.longest) if part else [] for part in texts]
        inputs = [Texts(part, self.encoder.filler) for part in rows]
        parts = parts_of(items, inputs, device)
        per_epoch = math.ceil(len(parts.train) / config.batch_size)
        epochs = max(EPOCHS, math.ceil(LEAST_UPDATES / per_epoch)) if config.epochs == "auto" else config.epochs
        usual = 5e-4 if self.encoder.adapter else 5e-5
        rate = usual if config.learning_rate == "auto" else config.learning_rate
        chosen = config.model_copy(update={"learning_rate": rate})
        self.encoder.model.train()  # libraries load models ready to predict
        super().__init__(context, chosen, device, dataset, self.encoder.model, parts, epochs)

    def ready(self, inputs: Texts) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, there = inputs.padded()
        return self.device.near(tokens), self.device.near(there)

    def logits(self, batch: Any) -> torch.Tensor:
        return self.encoder.logits(batch)

    def trained(self) -> state.Weighted:
        return hugging_face.Trained(self.model)

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        about = {"classes": self.names, "parameters": self.plan.parameters, "longest": self.longest}
        about |= self.encoder.facts()
        return self.encoder.files() | artifact.describe(self.context, about, self.dataset, metrics)

    def _longest(self, config: TextClassificationConfig, texts: list[str]) -> int:
        limit = self.encoder.limit
        if config.max_length == "auto":
            return max(8, min(limit, LONGEST, max(map(len, self.encoder.rows(texts, min(limit, LONGEST))))))
        if config.max_length > limit:
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"The base model reads at most {limit:,} tokens, and max_length asks for {config.max_length:,}.",
                f"Set max_length to auto, or to at most {limit:,}.",
            )
        return config.max_length


def features_of(
    context: Context, config: TextClassificationConfig, texts: tuple[list[str], ...], classes: int
) -> tuple[Vocabulary, list[Bags]]:
    """The features of the training part, and all parts in them; EngineError BAD_DATA when there are none."""

    def counted(part: list[str]) -> list[Counts]:
        return [
            count(text, config.words, config.letters, config.lower_case) for text in breathing(part, context.breathe)
        ]

    first = counted(texts[0])
    most = min(config.features, max(LEAST_FEATURES, NUMBERS // classes))
    vocabulary = learn(first, most, context.breathe)
    if not vocabulary.size:
        raise bad_data(
            "The training texts have no word or run of letters in common.", "Add texts, or raise words and letters."
        )
    parts = [first, *(counted(part) for part in texts[1:])]
    bags = [Bags([weigh(one, vocabulary) for one in breathing(part, context.breathe)]) for part in parts]
    return vocabulary, bags


def breathing(values: list[Any], breathe: Callable[[], None]) -> Any:
    """The values, with a look now and then at whether the run is to end."""
    for number, value in enumerate(values):
        if number % 100 == 0:
            breathe()
        yield value


def parts_of(items: Labelled, inputs: list[Any], device: Device) -> Parts:
    """Inputs with their class numbers."""
    parts = (items.train, items.validation, items.test)
    return Parts(
        items.names,
        *(
            Part(given, label_tensor(items.numbers(part), device.torch))
            for given, part in zip(inputs, parts, strict=True)
        ),
    )

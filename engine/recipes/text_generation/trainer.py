"""Trains a compact GPT on the texts of a dataset version."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from engine.artifact import make_artifact
from engine.data import Dataset, open_dataset
from engine.device import Device, choose
from engine.randomness import Dice, mix
from engine.recipes.text_generation.config import TextGenerationConfig
from engine.recipes.text_generation.model import GPT, continue_text
from engine.recipes.text_generation.text import check_length, training_and_validation
from engine.recipes.text_generation.tokens import Bytes, Characters, Tokenizer
from engine.schedule import warmup_then_cosine
from engine.task import Context, Plan
from engine.training import TorchTask, check_batch, count_parameters

EVALUATION_SEED = 20_11  # the pieces looked at during training are the same in each run and evaluation
SAMPLE_TEMPERATURE = 0.8


def build(context: Context) -> TextGenerationTask:
    """Read the texts, make the vocabulary and the model."""
    config = context.config
    assert isinstance(config, TextGenerationConfig)
    check_batch(config.batch_size, context.team.size)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "text")
    train, validation = training_and_validation(dataset, context)
    tokenizer = Bytes() if config.tokenizer == "byte" else Characters.of(train + validation)
    parts = tokenizer.encode(train), tokenizer.encode(validation)
    for tokens, part in zip(parts, ("training", "validation"), strict=True):
        check_length(len(tokens), config.block_size, part)
    return TextGenerationTask(context, config, device, dataset, tokenizer, *parts)


class TextGenerationTask(TorchTask):
    """See `engine.task.Task`."""

    def __init__(
        self,
        context: Context,
        config: TextGenerationConfig,
        device: Device,
        dataset: Dataset,
        tokenizer: Tokenizer,
        train: torch.Tensor,
        validation: torch.Tensor,
    ) -> None:
        self.config = config
        self.dataset = dataset
        self.tokenizer = tokenizer
        model = make_model(config, tokenizer.size)
        plan = Plan(
            total_steps=config.steps,
            steps_per_epoch=len(train) / (config.batch_size * config.block_size),
            parameters=count_parameters(model),
            train_items=max(1, len(dataset.part("train"))),
            validation_items=len(dataset.part("validation")),
            evaluate_every=config.evaluate_every,
            sample_every=config.sample_every,
        )
        super().__init__(context, device, model, plan, config.weight_decay, config.gradient_clip)
        self.train = train.to(device.torch)
        self.validation = validation.to(device.torch)
        self.dice = Dice(context.spec.seed)
        self.offsets = torch.arange(config.block_size + 1)
        # A short run still reaches its highest rate.
        self.warmup = min(config.warmup_steps, config.steps // 4)

    def learning_rate(self, index: int) -> float:
        config = self.config
        return warmup_then_cosine(
            index, config.steps, config.learning_rate, self.warmup, config.minimum_learning_rate_ratio
        )

    def examples(self, index: int) -> int:
        return self.config.batch_size

    def batch(self, index: int) -> torch.Tensor:
        return self._pieces(self.train, self.dice.at(index), self.team.share(self.config.batch_size))

    def loss(self, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.model(batch[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].reshape(-1)), {}

    def evaluate(self, final: bool) -> dict[str, float]:
        self.model.eval()
        try:
            loss = self._full_loss() if final else self._quick_loss()
        finally:
            self.model.train()
        return {"validation/loss": loss, "validation/perplexity": math.exp(min(loss, 700.0))}

    def sample(self, index: int) -> tuple[str, str] | None:
        config = self.config
        prompt = self._prompt()
        generator = torch.Generator().manual_seed(mix(self.context.spec.seed, index))
        self.model.eval()
        try:
            made = continue_text(self.model, prompt, config.sample_length, generator, SAMPLE_TEMPERATURE)
        finally:
            self.model.train()
        return "text", config.sample_prompt + self.tokenizer.decode(made)

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        about = {"tokens": self.tokenizer.description(), "parameters": self.plan.parameters}
        return make_artifact(self.context, self.model, about, self.dataset, metrics)

    def _pieces(self, tokens: torch.Tensor, generator: torch.Generator, share: slice | None = None) -> torch.Tensor:
        """Random pieces of block_size + 1 tokens: (batch, block_size + 1), or a share of such a batch."""
        config = self.config
        starts = torch.randint(len(tokens) - config.block_size, (config.batch_size, 1), generator=generator)
        if share is not None:
            starts = starts[share]
        return tokens[(starts + self.offsets).to(tokens.device)]

    @torch.no_grad()
    def _quick_loss(self) -> float:
        dice = Dice(EVALUATION_SEED)
        count = self.config.evaluation_batches

        def part() -> torch.Tensor:
            losses = [torch.zeros((), device=self.device.torch)]
            for number in range(count)[self.team.share(count)]:
                self.context.breathe()
                with self.device.autocast():
                    losses.append(self.loss(self._pieces(self.validation, dice.at(number)))[0])
            return torch.stack(losses).double().sum().view(1).cpu()

        return self.team.total(part, 1).item() / count

    @torch.no_grad()
    def _full_loss(self) -> float:
        """Over every token of the validation text but the first, in pieces without overlap."""
        block = self.config.block_size
        count = (len(self.validation) - 1) // block
        inputs = self.validation[: count * block].view(count, block)
        targets = self.validation[1 : count * block + 1].view(count, block)
        size = max(1, min(128, 2**17 // (block * max(1, self.tokenizer.size // 64))))
        pairs = list(zip(inputs.split(size), targets.split(size), strict=True))

        def part() -> torch.Tensor:
            total = torch.zeros(1, dtype=torch.float64)
            for x, y in pairs[self.team.share(len(pairs))]:
                self.context.breathe()
                with self.device.autocast():
                    logits = self.model(x)
                total += F.cross_entropy(logits.flatten(0, 1).float(), y.reshape(-1), reduction="sum").double().cpu()
            return total

        return self.team.total(part, 1).item() / (count * block)

    def _prompt(self) -> list[int]:
        """What samples begin with: the prompt, where the vocabulary knows it, else the text's first token."""
        known = self.config.sample_prompt
        if isinstance(self.tokenizer, Characters):
            known = "".join(c for c in known if c in self.tokenizer.vocabulary)
        return self.tokenizer.encode(known).tolist() if known else [int(self.train[0])]


def make_model(config: TextGenerationConfig, vocabulary: int) -> GPT:
    """The network that a configuration describes, with fresh weights."""
    return GPT(vocabulary, config.layers, config.heads, config.width, config.block_size, config.dropout)

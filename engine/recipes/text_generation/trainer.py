"""Trains a language model: a compact GPT from scratch, or one that is there already, in whole or by LoRA."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial

import torch
from torch.nn import functional as F

from engine import artifact, hugging_face, lora, state
from engine.data import Dataset, bad_data, open_dataset
from engine.device import Device, choose
from engine.hugging_face import Trained
from engine.pairs import IGNORE
from engine.randomness import Dice, mix
from engine.recipes.text_generation import report
from engine.recipes.text_generation.config import TextGenerationConfig
from engine.recipes.text_generation.examples import Rows, prompt_text, prompt_tokens, rows_of
from engine.recipes.text_generation.preparing import Beginning, begin
from engine.recipes.text_generation.text import Items, Texts, check_length, held_out, parts_of, stream, texts_of
from engine.recipes.text_generation.tokens import Characters
from engine.report import AnyBlock
from engine.schedule import warmup_then_cosine
from engine.task import Context, Plan, json_bytes
from engine.training import TorchTask, check_batch, count_parameters

EVALUATION_SEED = 20_11  # the pieces looked at during training are the same in each run and evaluation
SAMPLE_TEMPERATURE = 0.8
BASELINE = "baseline.json"
BUCKET = 16  # batches among which rows of like length are sought, when they are padded
LOGITS = 2**23  # numbers that an evaluation's answer may hold at a time

Look = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]  # tokens, targets, segments: (rows, length) each


def build(context: Context) -> LanguageTask:
    """Read the data, make or load the model."""
    config = context.config
    assert isinstance(config, TextGenerationConfig)
    check_batch(config.batch_size, context.team.size)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "text")
    items = parts_of(dataset)
    if items.examples:
        items = held_out(items, context)
        beginning = begin(context, config, device, dataset, items, None)
        return ExamplesTask(context, config, device, dataset, items, beginning)
    texts = texts_of(dataset, items, context)
    beginning = begin(context, config, device, dataset, items, texts)
    return TextGenerationTask(context, config, device, dataset, texts, beginning)


class LanguageTask(TorchTask):
    """See `engine.task.Task`. What learning from running text and from examples share."""

    ahead_of_steps = True

    def __init__(
        self, context: Context, config: TextGenerationConfig, device: Device, dataset: Dataset, beginning: Beginning
    ) -> None:
        """The subclass has its data ready by now."""
        self.config = config
        self.dataset = dataset
        self.language = beginning.language
        self.tokenizer = beginning.language.tokenizer
        self.method = beginning.method
        self.layout = beginning.layout
        self.block = beginning.block
        self.peak = beginning.learning_rate if config.learning_rate == "auto" else config.learning_rate
        per_epoch = self.rows / config.batch_size
        texts_from_scratch = self.method == "scratch" and self.layout is None
        self.steps = config.steps_of(texts_from_scratch, per_epoch)
        self.warmup = min(config.warmup_steps, self.steps // 4)  # a short run still reaches its highest rate
        self.untuned: dict[str, float] = {}
        plan = Plan(
            total_steps=self.steps,
            steps_per_epoch=per_epoch,
            parameters=count_parameters(self.language.model),
            train_items=max(1, len(dataset.part("train"))),
            validation_items=len(dataset.part("validation")),
            evaluate_every=config.evaluate_every,
            sample_every=config.sample_every,
            keep_best=config.keep == "best",
            patience=config.patience,
            fixed=texts_from_scratch or config.steps != "auto",
        )
        # What is trained is kept in float32; a frozen base may be in a smaller format.
        for parameter in self.language.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        self.language.model.train()  # libraries load models ready to predict
        super().__init__(context, device, self.language.model, plan, config.weight_decay, config.gradient_clip)
        self.dice = Dice(context.spec.seed)

    @property
    @abstractmethod
    def rows(self) -> float:
        """Rows of one context length that the training part fills."""

    @abstractmethod
    def looks(self, part: str, final: bool) -> list[Look]:
        """What an evaluation reads, in batches; `final` or not."""

    @abstractmethod
    def passages(self) -> Iterator[tuple[str, str]]:
        """Beginnings from the validation part, and how they go on there."""

    def learning_rate(self, index: int) -> float:
        return warmup_then_cosine(index, self.steps, self.peak, self.warmup, self.config.minimum_learning_rate_ratio)

    def examples(self, index: int) -> int:
        return self.config.batch_size

    def step(self, index: int) -> tuple[dict[str, float], int]:
        if not self.untuned and self.method != "scratch":
            loss = self._judged("validation", final=True)
            self.untuned = {"baseline/validation_loss": loss, "baseline/validation_perplexity": perplexity(loss)}
        return super().step(index)

    def evaluate(self, final: bool) -> dict[str, float]:
        found = dict(self.untuned)
        parts = ("validation", "test") if final and self.tested else ("validation",)
        for part in parts:
            loss = self._judged(part, final)
            found |= {f"{part}/loss": loss, f"{part}/perplexity": perplexity(loss)}
        return found

    @property
    @abstractmethod
    def tested(self) -> bool:
        """Whether there is a test part."""

    def sample(self, index: int) -> tuple[str, str] | None:
        config = self.config
        generator = torch.Generator().manual_seed(mix(self.context.spec.seed, index))
        made = self._continued(self._prompt(), config.sample_length, generator, SAMPLE_TEMPERATURE)
        return "text", config.sample_prompt + self.tokenizer.decode(made)

    def trained(self) -> state.Weighted:
        return Trained(self.model)

    def state(self) -> dict[str, bytes]:
        kept = super().state()
        return kept | {BASELINE: json_bytes(self.untuned)} if kept else {}

    def restore(self, files: dict[str, bytes]) -> None:
        super().restore(files)
        self.untuned = json.loads(files[BASELINE])

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        known = self.language
        about = {
            "network": known.network,
            "tokens": self.tokenizer.description(),
            "layout": self.layout,
            "method": self.method,
            "parameters": self.plan.parameters,
        }
        if known.base is not None:
            about["base"] = known.base
        if known.adapter is not None:
            assert known.base is not None
            about["adapter"] = known.adapter
            weights = lora.files(self.model, known.adapter, known.base)
        else:
            weights = {state.MODEL: state.save(hugging_face.whole(self.model))} | self.tokenizer.files()
        return weights | artifact.describe(self.context, about, self.dataset, metrics)

    def report(self) -> list[AnyBlock]:
        written = []
        for number, (start, true) in zip(range(report.PASSAGES), self.passages(), strict=False):
            self.context.breathe()
            tokens = prompt_tokens(start, self.layout, self.tokenizer) or self._prompt()
            generator = torch.Generator().manual_seed(mix(self.context.spec.seed, number))
            length = min(report.LONGEST, len(self.tokenizer.encode(true)) + 16) if self.layout else report.SHORTEST
            temperature = 0.0 if self.layout else SAMPLE_TEMPERATURE
            made = self.tokenizer.decode(self._continued(tokens, length, generator, temperature))
            written.append((start, report.answer(made, self.layout), true))
        return report.blocks(self.seen, self.untuned, self.method, written)

    def _continued(self, tokens: list[int], count: int, generator: torch.Generator, temperature: float) -> list[int]:
        self.model.eval()
        try:
            with self.device.autocast():
                return self.language.continue_tokens(tokens, count, generator, temperature)
        finally:
            self.model.train()

    @torch.no_grad()
    def _judged(self, part: str, final: bool) -> float:
        """The mean loss of the tokens of a part that are learned."""
        looks = self.looks(part, final)

        def sums() -> torch.Tensor:
            # Of a team each process reads its share of the batches.
            total = torch.zeros(2, dtype=torch.float64)
            for look in looks[self.team.share(len(looks))]:
                rows = slice(0, len(look[0]))
                for _, found in self.fitting.judged(rows, rows.stop, partial(self._summed, look)):
                    total += found
            return total

        self.model.eval()
        try:
            loss, count = self.team.total(sums, 2).tolist()
        finally:
            self.model.train()
        if final:
            self.seen = getattr(self, "seen", {}) | {part: loss / count}
        return loss / count

    def _summed(self, look: Look, rows: slice) -> torch.Tensor:
        """The losses of some rows of a look, and the number of tokens that are learned."""
        tokens, targets, segments = (None if part is None else part[rows] for part in look)
        assert tokens is not None and targets is not None
        with self.device.autocast():
            logits = self.language.logits(tokens, segments)
        loss = F.cross_entropy(logits.flatten(0, 1).float(), targets.reshape(-1), reduction="sum")
        return torch.stack([loss.double().cpu(), (targets != IGNORE).sum().double().cpu()])

    def _prompt(self) -> list[int]:
        """What samples begin with: the prompt, where the vocabulary knows it, else what texts begin with."""
        known = self.config.sample_prompt
        if isinstance(self.tokenizer, Characters):
            known = "".join(c for c in known if c in self.tokenizer.vocabulary)
        return prompt_tokens(known, None, self.tokenizer) or self._first()

    @abstractmethod
    def _first(self) -> list[int]:
        """The first token of the training part."""


class TextGenerationTask(LanguageTask):
    """Learns running text: random pieces of one context length."""

    def __init__(
        self,
        context: Context,
        config: TextGenerationConfig,
        device: Device,
        dataset: Dataset,
        texts: Texts,
        beginning: Beginning,
    ) -> None:
        tokenizer, block = beginning.language.tokenizer, beginning.block
        parts = [stream(part, tokenizer, context) for part in (texts.train, texts.validation, texts.test)]
        for tokens, part in zip(parts, ("training", "validation"), strict=False):
            check_length(len(tokens), block, part)
        self.train, self.validation, self.test = (tokens.to(device.torch) for tokens in parts)
        self.texts = texts
        self.width = block
        super().__init__(context, config, device, dataset, beginning)
        if self.method == "scratch":
            loss = frequencies_loss(self.train, self.validation, tokenizer.size)
            self.untuned = {"baseline/validation_loss": loss, "baseline/validation_perplexity": perplexity(loss)}
        self.offsets = torch.arange(block + 1)

    @property
    def rows(self) -> float:
        return len(self.train) / self.width

    @property
    def compilable(self) -> bool:
        return self.method == "scratch"

    @property
    def tested(self) -> bool:
        return len(self.test) > self.block

    def batch(self, index: int) -> torch.Tensor:
        return self._pieces(self.train, self.dice.at(index), self.team.share(self.config.batch_size))

    def loss(self, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        logits = self.language.logits(batch[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].reshape(-1)), {}

    def looks(self, part: str, final: bool) -> list[Look]:
        """At the end every token of the part but the first, in pieces without overlap; before, some random pieces."""
        tokens, block = getattr(self, part), self.block
        if not final:
            dice = Dice(EVALUATION_SEED)
            pieces = [self._pieces(tokens, dice.at(number)) for number in range(self.config.evaluation_batches)]
            return [(piece[:, :-1], piece[:, 1:], None) for piece in pieces]
        count = (len(tokens) - 1) // block
        inputs = tokens[: count * block].view(count, block)
        targets = tokens[1 : count * block + 1].view(count, block)
        size = batch_of_looks(block, self.tokenizer.size)
        return [(x, y, None) for x, y in zip(inputs.split(size), targets.split(size), strict=True)]

    def passages(self) -> Iterator[tuple[str, str]]:
        text = "".join(self.texts.validation)
        for place in range(report.PASSAGES):
            first = place * len(text) // report.PASSAGES
            start = text[first : first + report.BEGINNING]
            yield start, text[first + len(start) : first + len(start) + report.BEGINNING]

    def _pieces(self, tokens: torch.Tensor, generator: torch.Generator, share: slice | None = None) -> torch.Tensor:
        """Random pieces of one context length and a token: (batch, block + 1), or a share of such a batch."""
        starts = torch.randint(len(tokens) - self.block, (self.config.batch_size, 1), generator=generator)
        if share is not None:
            starts = starts[share]
        return tokens[(starts + self.offsets).to(tokens.device)]

    def _first(self) -> list[int]:
        return [int(self.train[0])]


class ExamplesTask(LanguageTask):
    """Learns the answers of examples, each seen once in an epoch."""

    def __init__(
        self,
        context: Context,
        config: TextGenerationConfig,
        device: Device,
        dataset: Dataset,
        items: Items,
        beginning: Beginning,
    ) -> None:
        assert beginning.layout is not None
        self.items = items
        self.packing = config.packing and packs(beginning, context)
        tokenizer = beginning.language.tokenizer

        def rows(part: str, name: str) -> Rows:
            chosen = getattr(items, part)
            return rows_of(dataset, chosen, beginning.layout, tokenizer, beginning.block, self.packing, name, context)

        if not items.validation:
            raise bad_data("No example is meant for validation.", "Freeze a version with a larger validation_fraction.")
        self.parts = {"train": rows("train", "training"), "validation": rows("validation", "validation")}
        if items.test:
            self.parts["test"] = rows("test", "test")
        check_batch(min(config.batch_size, len(self.parts["train"])), context.team.size)
        super().__init__(context, config, device, dataset, beginning)
        self.order_of: tuple[int, torch.Tensor] | None = None  # the epoch's number, its order
        if self.method == "scratch":
            train, validation = (part.targets[part.targets != IGNORE] for part in list(self.parts.values())[:2])
            loss = frequencies_loss(train, validation, self.tokenizer.size)
            self.untuned = {"baseline/validation_loss": loss, "baseline/validation_perplexity": perplexity(loss)}

    @property
    def rows(self) -> float:
        return len(self.parts["train"])

    @property
    def compilable(self) -> bool:
        return self.method == "scratch" and self.packing

    @property
    def tested(self) -> bool:
        return "test" in self.parts

    def examples(self, index: int) -> int:
        return min(self.config.batch_size, len(self.parts["train"]))

    def batch(self, index: int) -> tuple[torch.Tensor, ...]:
        """Tokens, targets, segments and, once for each row, what turns a sum over the rows' losses into the mean of the
        whole batch's learned tokens, however it is divided."""
        train, size = self.parts["train"], self.examples(index)
        whole = torch.stack([self._row(index * size + place) for place in range(size)])
        weight = size / (train.targets[whole] != IGNORE).sum()
        mine = whole[self.team.share(size)]
        # Compiled code is for one width; packed rows are nearly full anyway.
        width = train.tokens.shape[1] if self.compiles and self.packing else int(train.lengths[whole].max())
        near = self.device.near
        tensors = (train.tokens[mine, :width], train.targets[mine, :width], train.segments[mine, :width])
        return *(near(tensor) for tensor in tensors), near(weight.expand(len(mine)))

    def loss(self, batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        tokens, targets, segments, weight = batch
        logits = self.language.logits(tokens[:, :-1], segments[:, :-1] if self.packing else None)
        losses = F.cross_entropy(logits.flatten(0, 1).float(), targets[:, 1:].reshape(-1), reduction="sum")
        return losses * weight[0] / len(tokens), {}

    def looks(self, part: str, final: bool) -> list[Look]:
        rows = self.parts[part]
        size = batch_of_looks(rows.tokens.shape[1], self.tokenizer.size)
        order = rows.lengths.argsort(stable=True)
        if not final:  # evenly chosen from short to long
            count = min(len(order), self.config.evaluation_batches * self.config.batch_size)
            order = order[torch.linspace(0, len(order) - 1, count).long()]
        return [self._look(rows, chosen) for chosen in order.split(size)]

    def passages(self) -> Iterator[tuple[str, str]]:
        for item in self.items.validation[: report.PASSAGES]:
            content = item.content or {"text": self.dataset.text(item)}
            assert self.layout is not None
            true = content["messages"][-1]["content"] if "messages" in content else content.get("completion", "")
            if "text" not in content:
                yield prompt_text(content, self.layout, self.tokenizer), true

    def _look(self, rows: Rows, chosen: torch.Tensor) -> Look:
        width = int(rows.lengths[chosen].max())
        tokens, targets, segments = (
            tensor[chosen, :width].to(self.device.torch) for tensor in (rows.tokens, rows.targets, rows.segments)
        )
        return tokens[:, :-1], targets[:, 1:], segments[:, :-1] if self.packing else None

    def _row(self, place: int) -> torch.Tensor:
        """The row that comes at a place of the run, counted over all epochs."""
        count = len(self.parts["train"])
        epoch = place // count
        if self.order_of is None or self.order_of[0] != epoch:
            self.order_of = epoch, self._order(epoch)
        return self.order_of[1][place % count]

    def _order(self, epoch: int) -> torch.Tensor:
        """All rows in the order of an epoch; padded ones beside others of like length."""
        generator = self.dice.at(epoch)
        train, size = self.parts["train"], self.config.batch_size
        order = torch.randperm(len(train), generator=generator)
        if self.packing:
            return order
        sorted_by_length = [some[train.lengths[some].argsort(stable=True)] for some in order.split(BUCKET * size)]
        batches = [batch for some in sorted_by_length for batch in some.split(size)]
        mixed = torch.randperm(len(batches), generator=generator).tolist()
        return torch.cat([batches[place] for place in mixed])

    def _first(self) -> list[int]:
        return [int(self.parts["train"].tokens[0, 0])]


def perplexity(loss: float) -> float:
    """Among how many equally likely tokens the model would have to guess."""
    return math.exp(min(loss, 700.0))


def frequencies_loss(train: torch.Tensor, validation: torch.Tensor, vocabulary: int) -> float:
    """The loss of whoever knows only how frequent each token is."""
    counts = torch.bincount(train.cpu(), minlength=vocabulary).double() + 1
    return float(-(counts / counts.sum()).log()[validation.cpu()].mean())


def batch_of_looks(length: int, vocabulary: int) -> int:
    """How many rows an evaluation reads at a time, so that its logits stay small."""
    return max(1, min(128, LOGITS // (length * vocabulary)))


@torch.no_grad()
def packs(beginning: Beginning, context: Context) -> bool:
    """Whether examples that share a row don't see each other in this network: tried, as networks in Hugging Face format
    differ in what they make of a mask."""
    known = beginning.language
    if known.own:
        return True
    tokens = torch.arange(1, 9) % known.tokenizer.size
    segments = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 2]])
    known.model.eval()
    try:
        together = known.logits(tokens[None], segments)[0, 3:]
        alone = known.logits(tokens[None, 3:])[0]
        if torch.allclose(together.float(), alone.float(), rtol=1e-2, atol=1e-3 + 1e-2 * float(alone.abs().max())):
            return True
    except (TypeError, ValueError, RuntimeError):
        pass
    finally:
        known.model.train()
    context.log("This network can't keep packed examples apart, so they are padded instead.", "warning")
    return False

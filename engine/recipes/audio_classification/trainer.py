"""Trains a network on the spectra of a dataset version's recordings."""

from __future__ import annotations

import math
from typing import Any

import torch

from engine.classifier import ClassificationTask, Part, Parts, choose_epochs, label_tensor
from engine.data import Dataset, bad_data, open_dataset
from engine.device import Device, choose
from engine.labelled import labelled
from engine.randomness import Dice
from engine.recipes.audio_classification.augmentation import STRENGTHS, changed, warps
from engine.recipes.audio_classification.config import AudioClassificationConfig
from engine.recipes.audio_classification.model import Shape, SoundNetwork
from engine.recipes.audio_classification.recordings import (
    KEPT_SECONDS,
    Recordings,
    choose_rate,
    choose_samples,
    load_part,
)
from engine.recipes.audio_classification.spectra import Sizes, Spectra
from engine.task import Context

ON_DEVICE_BYTES = 2 << 30
LOOKS = 5  # places of a long recording that are listened to when it is judged


def build(context: Context) -> AudioClassificationTask:
    """Check and decode the recordings, size spectra and network by them."""
    config = context.config
    assert isinstance(config, AudioClassificationConfig)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "audio")
    items = labelled(dataset, "recording", "recordings", context.log)
    rate = choose_rate(dataset, items.train, config.sample_rate)
    parts: list[Part] = []
    for part in (items.train, items.validation, items.test):
        recordings, cut = load_part(dataset, part, rate, context.spec.work_dir, context.breathe)
        if cut:
            context.log(
                f"{cut:,} recordings are longer than {KEPT_SECONDS:g} seconds; the rest is not heard.", "warning"
            )
        if silent := recordings.silent():
            if part is items.train and silent == len(part):
                raise bad_data("All training recordings are silent.", "Add recordings in which something is heard.")
            context.log(f"{silent:,} of {len(part):,} recordings are silent.", "warning")
        parts.append(Part(_near(recordings, device), label_tensor(items.numbers(part), device.torch)))
    sizes = choose_sizes(config, rate, parts[0].inputs)
    width = _width(len(items.train)) if config.width == "auto" else config.width
    shape = Shape(width, config.depth, len(items.names))
    context.log(
        f"Recordings at {rate:,} samples per second, {sizes.samples / rate:.2f} seconds of each at once in "
        f"{sizes.mels} bands; a network of {shape.depth} stages, the first {shape.width} wide, for {shape.classes} "
        "classes."
    )
    return AudioClassificationTask(context, config, device, dataset, sizes, shape, Parts(items.names, *parts))


def _width(recordings: int) -> int:
    return 24 if recordings < 10_000 else 32


def choose_sizes(config: AudioClassificationConfig, rate: int, recordings: Recordings) -> Sizes:
    """The sizes of spectra: as configured, 'auto' by the recordings."""
    mels: int = (40 if rate <= 16_000 else 64) if config.mels == "auto" else config.mels
    return Sizes(rate, choose_samples(recordings.lengths.cpu(), rate, config.seconds), mels)


class AudioClassificationTask(ClassificationTask):
    """See `engine.task.Task`."""

    evaluation_batch = 64

    def __init__(
        self,
        context: Context,
        config: AudioClassificationConfig,
        device: Device,
        dataset: Dataset,
        sizes: Sizes,
        shape: Shape,
        parts: Parts,
    ) -> None:
        self.sizes = sizes
        self.shape = shape
        self.strength = STRENGTHS[config.augmentation]
        self.spectra = Spectra(sizes, warps(self.strength)).to(device.torch)
        self.dice = Dice(context.spec.seed)
        epochs = choose_epochs(config.epochs, math.ceil(len(parts.train) / config.batch_size), config.auto_steps)
        model = SoundNetwork(shape, config.dropout)
        super().__init__(context, config, device, dataset, model, parts, epochs)

    def ready(self, inputs: Recordings) -> Recordings:
        return inputs

    def vary(self, batch: Recordings, index: int, share: slice, whole: int) -> torch.Tensor:
        return changed(batch, self.spectra, self.strength, self.dice.at(index), share, whole)

    def answer(self, inputs: Recordings) -> torch.Tensor:
        return listen(self.model, self.spectra, inputs)

    def about(self) -> dict[str, Any]:
        return {"shape": self.shape.__dict__, "input": self.sizes.facts()}


def listen(model: torch.nn.Module, spectra: Spectra, recordings: Recordings) -> torch.Tensor:
    """Logarithms of probabilities, (items, classes). Of recordings that are longer than what is heard at once, the mean
    of several places."""
    samples = spectra.sizes.samples
    spare = (recordings.lengths - samples).double()
    found = model(spectra(recordings.heard((spare / 2).round(), samples))).float().softmax(1)
    if len(long := (spare > 0).nonzero().flatten()):
        some, room = recordings[long], spare[long]
        sides = [place for place in torch.linspace(0, 1, LOOKS).tolist() if place != 0.5]
        others = [model(spectra(some.heard((room * place).round(), samples))).float().softmax(1) for place in sides]
        found[long] = torch.stack([found[long], *others]).mean(0)
    return found.clamp(min=1e-12).log()


def _near(recordings: Recordings, device: Device) -> Recordings:
    """Recordings on the device, as far as there is room; where they are is always there."""
    if recordings.wave.nbytes <= ON_DEVICE_BYTES:
        return recordings.to(device.torch)
    return Recordings(recordings.wave, recordings.begins.to(device.torch), recordings.lengths.to(device.torch))

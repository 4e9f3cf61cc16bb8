"""Networks for pictures learn the same with channels last, as a GPU has them, and go on exactly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from engine.device import Device
from engine.protocol import Command, Event, Exit
from tests.engine.cast import carry_out, image_spec, outcome
from tests.engine.test_data_order import task_of
from tests.recipes.specs import audio_classification, image_fine_tuning, image_generation, video_classification

MAKERS = [image_spec, image_fine_tuning.spec, audio_classification.spec, video_classification.spec]


@pytest.fixture
def last(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a GPU, and without oneDNN, which no GPU uses: where a processor has AVX2 and no AVX-512, its kernels for
    this layout write past their memory (torch 2.13.0, the network for sounds)."""
    monkeypatch.setattr(Device, "arrange", lambda _, model: model.to(memory_format=torch.channels_last))
    with torch.backends.mkldnn.flags(enabled=False):
        yield


def losses(spec, when=None):
    code, sink = carry_out(spec, when)
    assert code in (Exit.COMPLETED, Exit.PAUSED), sink.events[-1]
    return [event["metrics"]["train/loss"] for event in sink.of(Event.STEP)]


@pytest.mark.parametrize(
    "make", [*MAKERS, image_generation.spec], ids=["images", "base", "sounds", "videos", "generation"]
)
def test_the_same_is_learned_and_resuming_is_exact(tmp_path, make, request) -> None:
    folders = [tmp_path / name for name in ("first", "last", "resumed")]
    for folder in folders:
        folder.mkdir()
    usual = losses(make(folders[0]))
    request.getfixturevalue("last")
    found = losses(make(folders[1]))
    assert found[:5] == pytest.approx(usual[:5], abs=1e-3)

    spec = make(folders[2]).model_copy(update={"base": make(folders[1]).base})
    assert losses(spec, {len(found) // 2: Command.PAUSE}) + losses(spec) == found
    assert outcome(spec) == outcome(make(folders[1]))


def test_weights_and_what_they_give_have_channels_last(tmp_path, last) -> None:
    model = task_of(image_spec(tmp_path)).model
    assert model.stem.weight.is_contiguous(memory_format=torch.channels_last)
    seen = []
    model.stages[-1].register_forward_hook(
        lambda *a: seen.append(a[2].is_contiguous(memory_format=torch.channels_last))
    )
    model(torch.rand(4, model.stem.in_channels, 8, 8))
    assert seen == [True]

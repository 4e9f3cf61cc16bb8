"""A pretrained model is adapted to other classes, in the way its folder says, and its result stands alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.catalogue import load, recipe
from engine.protocol import Event, Exit, Spec
from tests.engine.cast import carry_out, digit_files, image_spec, make_data, spec
from tests.recipes.vision_models import vision_transformer

NAME = "image-classification"


def tuned(root: Path, base: Path, **config) -> Spec:
    settings = {"epochs": 2, "batch_size": 8, **config}
    return spec(root, NAME, settings, data=make_data(root, "image", digit_files(60)), base=base)


def failure(job: Spec) -> str:
    code, sink = carry_out(job)
    assert code is Exit.FAILED
    last = sink.events[-1]
    assert last["code"] == "BAD_CONFIG", last
    return last["message"]


def weights(job: Spec) -> dict[str, torch.Tensor]:
    return load_file(job.work_dir / "artifact" / "model.safetensors")


def test_the_result_needs_its_base_no_more(tmp_path: Path) -> None:
    base = vision_transformer(tmp_path / "base")
    job = tuned(tmp_path, base, epochs=5, learning_rate=2e-3, augmentation="none")
    code, sink = carry_out(job)
    assert code is Exit.COMPLETED, sink.events[-1]
    metrics = sink.events[-1]["metrics"]
    losses = [event["metrics"]["train/loss"] for event in sink.of(Event.STEP)]
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.5
    shutil.rmtree(base)

    facts = json.loads((job.work_dir / "artifact" / "config.json").read_text())
    assert facts["input"] == {"size": 32, "mean": [0.4, 0.5, 0.6], "deviation": [0.2, 0.2, 0.3]}
    model = load(recipe(NAME).predictor).load(job.work_dir / "artifact", "cpu")
    held_out = [(label, content) for _, label, split, content in digit_files(60) if split == "validation"]
    answers = model.predict([content for _, content in held_out])
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, held_out, strict=True))
    assert right / len(held_out) == pytest.approx(metrics["validation/accuracy"])


@pytest.mark.parametrize(("part", "moved"), [("all", True), ("head", False)])
def test_only_the_part_that_was_chosen_is_trained(part: str, moved: bool, tmp_path: Path) -> None:
    base = vision_transformer(tmp_path / "base")
    before = load_file(base / "model.safetensors")
    job = tuned(tmp_path, base, trained_part=part, epochs=1)
    code, sink = carry_out(job)
    assert code is Exit.COMPLETED, sink.events[-1]
    after = weights(job)
    assert after["network.classifier.weight"].shape == (10, 32)
    name = "vit.embeddings.patch_embeddings.projection.weight"
    assert torch.equal(after[f"network.{name}"], before[name]) != moved


def test_a_result_goes_on_learning_with_other_classes(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first = image_spec(tmp_path / "first", config={"epochs": 1})
    assert carry_out(first)[0] is Exit.COMPLETED
    files = [(name, f"a {label}", split, content) for name, label, split, content in digit_files(60) if label in "123"]
    again = spec(
        tmp_path, NAME, {"epochs": 1, "batch_size": 8}, data=make_data(tmp_path, "image", files),
        base=first.work_dir / "artifact",
    )  # fmt: skip
    code, sink = carry_out(again)
    assert code is Exit.COMPLETED, sink.events[-1]
    old, new = weights(first), weights(again)
    assert new["head.weight"].shape[0] == 3
    assert torch.allclose(new["stem.weight"], old["stem.weight"], atol=0.01)


def test_a_base_that_does_not_suit_is_refused(tmp_path: Path) -> None:
    base = vision_transformer(tmp_path / "base")
    assert "takes images of 32x32 pixels, not 64" in failure(tuned(tmp_path, base, image_size=64))
    (base / "preprocessor_config.json").write_text("{")
    assert "preprocessor_config.json can't be read" in failure(tuned(tmp_path, base))
    (base / "config.json").unlink()
    assert "'base' can't be used" in failure(tuned(tmp_path, base))

"""A pipeline learns a subject by an adapter, shows what it makes of it, and says what is wrong with its input."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import report
from engine.catalogue import load, recipe
from engine.protocol import EngineError, Exit
from tests.engine.cast import carry_out, make_data, png
from tests.recipes.specs.image_generation import spec as small
from tests.shared import data as real_data

ADAPTER = "pytorch_lora_weights.safetensors"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run long enough to learn, its events."""
    settings = {"steps": 200, "sample_every": 100, "class_pictures": 0, "rank": 8, "learning_rate": 1e-2}
    spec = small(tmp_path_factory.mktemp("long"), **settings)
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return spec, sink.events


def test_it_predicts_noise_better_than_its_base_and_shows_pictures(trained):
    spec, events = trained
    looks = [event["metrics"] for event in events if event["event"] == "evaluation"]
    assert looks[-1]["validation/loss"] < looks[0]["validation/loss"] < looks[0]["baseline/loss"]
    assert len({look["baseline/loss"] for look in looks}) == 1
    samples = [event for event in events if event["event"] == "sample"]
    assert [event["step"] for event in samples] == [100, 200]
    for sample in samples:
        assert sample["kind"] == "image"
        assert Image.open(io.BytesIO(base64.b64decode(sample["text"]))).size == (16, 16)
    blocks = {block.kind: block for block in report.read((spec.work_dir / "artifact" / report.REPORT).read_bytes())}
    assert blocks["figures"].figures[0].baseline == looks[0]["baseline/loss"]
    for picture in blocks["pictures"].entries:
        assert Image.open(spec.work_dir / "artifact" / picture.file).size == (16, 16)


def test_the_result_holds_the_adapter_alone_and_others_can_load_it(trained):
    from diffusers import StableDiffusionPipeline

    spec, _ = trained
    artifact = spec.work_dir / "artifact"
    about = json.loads((artifact / "config.json").read_text())
    base = sum(path.stat().st_size for path in spec.base.rglob("*.safetensors"))
    assert (artifact / ADAPTER).stat().st_size < base / 4
    assert about["base"]["path"] == str(spec.base) and len(about["base"]["sha256"]) == 64
    pipeline = StableDiffusionPipeline.from_pretrained(spec.base, local_files_only=True, safety_checker=None)
    pipeline.load_lora_weights(artifact, weight_name=ADAPTER)
    assert pipeline.get_active_adapters()


def test_a_seed_repeats_a_picture_and_the_base_makes_another(trained):
    spec, _ = trained
    predictor = load(recipe("image-generation").predictor).load(spec.work_dir / "artifact")
    first, second = predictor.predict(["a photo of sks dog"] * 2, {"steps": 3, "seed": 5})
    (again,) = predictor.predict(["a photo of sks dog"], {"steps": 3, "seed": 5})
    assert again == first and second["image"] != first["image"] and second["seed"] == 6
    assert Image.open(io.BytesIO(base64.b64decode(first["image"]))).size == (first["width"], first["height"])
    predictor.pipeline.unload_lora_weights()
    (base,) = predictor.predict(["a photo of sks dog"], {"steps": 3, "seed": 5})
    assert base["image"] != first["image"]
    with pytest.raises(EngineError, match="steps"):
        predictor.predict(["a"], {"steps": 0})
    with pytest.raises(EngineError, match="must be text"):
        predictor.predict([b"a"])


def test_a_result_can_be_trained_further(trained, tmp_path):
    spec, events = trained
    before = [event["metrics"]["validation/loss"] for event in events if event["event"] == "evaluation"][-1]
    further = small(tmp_path, steps=5, class_pictures=0, rank=8, learning_rate=1e-6)
    code, sink = carry_out(further.model_copy(update={"base": spec.work_dir / "artifact"}))
    assert code is Exit.COMPLETED, sink.events[-1]
    after = [event["metrics"]["validation/loss"] for event in sink.events if event["event"] == "evaluation"][-1]
    assert after == pytest.approx(before, rel=0.02)


def failure(spec):
    code, sink = carry_out(spec)
    assert code is Exit.FAILED
    return sink.events[-1]


def test_what_is_missing_or_wrong_is_said_in_words(tmp_path):
    spec = small(tmp_path)
    assert "no base model was chosen" in failure(spec.model_copy(update={"base": None}))["message"]
    assert "has no caption" in failure(small(tmp_path, prompt=""))["message"]
    (spec.base / "unet" / "diffusion_pytorch_model.safetensors").rename(tmp_path / "elsewhere")
    assert "has no safetensors weights in unet" in failure(spec)["message"]
    (spec.base / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert "is a FluxPipeline" in failure(spec)["message"]
    (spec.base / "model_index.json").write_text("nonsense")
    assert "can't be read" in failure(spec)["message"]


def test_a_damaged_picture_is_named(tmp_path):
    spec = small(tmp_path)
    good = png(np.random.default_rng(0).integers(0, 255, (20, 20, 3)))
    data = make_data(tmp_path, "image", [("a.png", None, "train", good), ("b.png", None, "train", good[:200])])
    assert "'b.png' can't be used" in failure(spec.model_copy(update={"data": data}))["message"]


def test_real_pictures_of_a_dog_without_a_validation_part(tmp_path):
    folder = real_data("dreambooth_dev") / "dog6"
    files = [(path.name, None, "train", path.read_bytes()) for path in sorted(folder.glob("*.jpg"))]
    spec = small(tmp_path, steps=10, class_pictures=0, resolution=32)
    spec = spec.model_copy(update={"data": make_data(tmp_path, "image", files)})
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    assert [event["kind"] for event in sink.events if event["event"] == "sample"] == ["image", "image"]
    losses = [event["metrics"]["train/loss"] for event in sink.events if event["event"] == "step"]
    assert len(losses) == 10 and all(np.isfinite(losses))
    assert Path(spec.work_dir / "artifact" / "sample-0.png").exists()

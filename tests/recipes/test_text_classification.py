"""Texts are told apart by words and letters, or by a base model; what does not suffice is told."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open

from engine import report
from engine.merge import merged
from engine.protocol import EngineError, Exit
from engine.recipes.text_classification.features import count, learn, weigh
from engine.recipes.text_classification.predictor import TextClassificationPredictor
from tests.engine.cast import carry_out
from tests.recipes.language_models import make_roberta
from tests.recipes.rows import rows_data
from tests.recipes.specs import text_classification, text_encoder


def run(spec):
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return sink.events[-1]["metrics"]


def refusal(spec):
    code, sink = carry_out(spec)
    assert code is Exit.FAILED and sink.events[-1]["hint"]
    return sink.events[-1]["message"]


def test_words_and_letters_tell_classes_apart(tmp_path):
    spec = text_classification.spec(tmp_path, epochs="auto")
    metrics = run(spec)
    assert metrics["validation/accuracy"] > 0.9
    artifact = spec.work_dir / "artifact"
    model = TextClassificationPredictor.load(artifact)
    fruit, tools = model.predict(["a ripe cherry and two plums", "hammer the nail"])
    assert (fruit["label"], tools["label"]) == ("fruit", "tool")
    assert fruit["confidence"] == fruit["probabilities"]["fruit"]
    assert model.predict(["nothing known: 日本"])[0]["probabilities"].keys() == {"fruit", "tool"}
    blocks = report.read((artifact / report.REPORT).read_bytes())
    assert blocks[0].figures[0].baseline == pytest.approx(0.5, abs=0.05)
    for bad in ([b"bytes"], [7], [" "]):
        with pytest.raises(EngineError, match="Input 1 can't be classified"):
            model.predict(bad)
    with pytest.raises(EngineError, match="no parameters"):
        model.predict(["a"], {"k": 1})


def test_features_are_runs_of_words_and_letters():
    one = count("The cat. the CAT", 2, 3, True)
    assert len(one.words) == 6, "the, cat, a dot, and three pairs"
    assert sorted(one.word_counts.tolist()) == [1, 1, 1, 2, 2, 2]
    assert len(count("The cat", 1, 0, False).letters) == 0
    vocabulary = learn([one, count("a dog", 2, 3, True)], 10_000, lambda: None)
    numbers, weights = weigh(one, vocabulary)
    assert len(set(numbers.tolist())) == len(numbers) and numbers.max() < vocabulary.size
    assert np.linalg.norm(weights) == pytest.approx(2**0.5, abs=1e-5)
    assert len(weigh(count("ξένος", 2, 3, True), vocabulary)[0]) == 0


def test_a_base_model_is_tuned_merged_and_tuned_again(tmp_path):
    spec = text_encoder.spec(tmp_path, epochs=6, learning_rate=1e-2)
    assert run(spec)["validation/accuracy"] > 0.7
    artifact = spec.work_dir / "artifact"
    assert not (artifact / "model.safetensors").exists()
    said = TextClassificationPredictor.load(artifact).predict(["a ripe cherry"])
    out = tmp_path / "merged"
    out.mkdir()
    for name, data in merged(artifact).items():
        (out / name).write_bytes(data)
    shutil.rmtree(spec.base)
    (alone,) = TextClassificationPredictor.load(out).predict(["a ripe cherry"])
    assert alone["probabilities"] == pytest.approx(said[0]["probabilities"], abs=1e-4)
    again = text_classification.spec(tmp_path / "again", epochs=1, method="full")
    assert run(again.model_copy(update={"base": out}))["validation/accuracy"] > 0.7
    other = rows_data(tmp_path / "other", [{"text": f"word {n}"} for n in range(20)], ["x", "y"] * 10)
    assert "other classes" in refusal(
        again.model_copy(update={"base": out, "data": other, "work_dir": tmp_path / "other"})
    )


def test_the_head_of_a_roberta_is_trained_in_whole_beside_an_adapter_of_its_body(tmp_path):
    spec = text_encoder.spec(tmp_path, epochs=1)
    spec = spec.model_copy(update={"base": make_roberta(tmp_path / "roberta")})
    run(spec)
    artifact = spec.work_dir / "artifact"
    with safe_open(artifact / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    assert any("intermediate.dense" in name for name in names) and not any("classifier" in name for name in names)
    with safe_open(artifact / "head.safetensors", "pt") as file:
        assert sorted(file.keys()) == [f"classifier.{n}.{w}" for n in ("dense", "out_proj") for w in ("bias", "weight")]
    said = TextClassificationPredictor.load(artifact).predict(["a ripe cherry"])[0]["probabilities"]
    (tmp_path / "merged").mkdir()
    for name, data in merged(artifact).items():
        (tmp_path / "merged" / name).write_bytes(data)
    (alone,) = TextClassificationPredictor.load(tmp_path / "merged").predict(["a ripe cherry"])
    assert alone["probabilities"] == pytest.approx(said, abs=1e-4)


def test_a_version_of_words_is_no_base(tmp_path):
    spec = text_classification.spec(tmp_path)
    run(spec)
    again = text_classification.spec(tmp_path / "again")
    assert "from scratch" in refusal(again.model_copy(update={"base": spec.work_dir / "artifact"}))


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [
        (["a word"] * 10, ["same"] * 10, "one class: 'same'"),
        (["a word"] * 9 + [" "], ["x", "y"] * 5, "is empty"),
        ([chr(200 + n) * 3 for n in range(10)], ["x", "y"] * 5, None),
    ],
)
def test_texts_that_do_not_suffice(tmp_path, texts, labels, told):
    spec = text_classification.spec(tmp_path)
    spec = spec.model_copy(update={"data": rows_data(tmp_path, [{"text": text} for text in texts], labels)})
    if told:
        assert told in refusal(spec)
    else:
        assert run(spec)["validation/accuracy"] <= 1, "texts without anything in common are guessed"


def test_nothing_to_learn_from_is_refused(tmp_path):
    assert "neither words nor letters" in refusal(text_classification.spec(tmp_path, words=0, letters=0))
    base = text_encoder.spec(tmp_path / "base", max_length=999)
    assert "reads at most 256 tokens" in refusal(base)
    assert json.loads((base.base / "config.json").read_text())["max_position_embeddings"] == 256

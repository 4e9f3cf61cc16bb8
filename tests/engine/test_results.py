"""What comes out of a run can be used: digits are recognised, prompts are continued."""

from __future__ import annotations

import resource
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from engine import report
from engine.catalogue import RECIPES, load, recipe
from engine.libraries import versions
from engine.protocol import EngineError, Exit, FailureCode
from tests.engine.cast import (
    ROOT,
    Process,
    carry_out,
    digit_files,
    hashes,
    make_data,
    simulate_spec,
    spec,
    text_spec,
)


def predictor(name: str, folder: Path):
    return load(recipe(name).predictor).load(folder, "cpu")


def cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("writer")
    trained = text_spec(root, config={"steps": 200, "dropout": 0.0, "learning_rate": 3e-3})
    code, sink = carry_out(trained)
    assert code is Exit.COMPLETED
    assert sink.events[-1]["metrics"]["validation/loss"] < 3.4  # guessing: 4.6
    return predictor("text-generation", trained.work_dir / "artifact")


def test_digits_reach_97_percent_with_default_settings_within_a_minute(tmp_path: Path) -> None:
    files = digit_files()
    data = make_data(tmp_path, "image", files)
    default = spec(tmp_path, "image-classification", {}, data=data, threads=2)
    begun, used = time.monotonic(), cpu_seconds_of_children()
    process = Process(default)
    assert process.finish(timeout=120) == Exit.COMPLETED
    seconds = time.monotonic() - begun
    metrics = process.events[-1]["metrics"]
    print(f"digits: validation accuracy {metrics['validation/accuracy']:.4f} in {seconds:.1f} s")
    assert metrics["validation/accuracy"] >= 0.97
    # Both cores for at most half a minute; time on the clock would also measure what else runs here.
    assert cpu_seconds_of_children() - used < 60

    model = predictor("image-classification", default.work_dir / "artifact")
    held_out = [(label, content) for _, label, split, content in files if split == "validation"]
    answers = model.predict([content for _, content in held_out])
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, held_out, strict=True))
    assert right / len(held_out) == pytest.approx(metrics["validation/accuracy"])
    best = answers[0]
    assert best["confidence"] == max(best["probabilities"].values())
    assert sum(best["probabilities"].values()) == pytest.approx(1, abs=1e-3)

    blocks = {block.kind: block for block in report.read((default.work_dir / "artifact" / report.REPORT).read_bytes())}
    assert set(blocks) == {"figures", "table", "matrix", "lines"}
    assert sum(map(sum, blocks["matrix"].counts)) == len(held_out)
    assert sum(blocks["matrix"].counts[n][n] for n in range(10)) == right
    accuracy = blocks["figures"].figures[0]
    assert accuracy.value == pytest.approx(metrics["validation/accuracy"]) and accuracy.baseline < 0.2
    for bad in ([b"no image"], ["text"]):
        with pytest.raises(EngineError, match="Input 1 can't be classified"):
            model.predict(bad)


def test_a_prompt_is_continued_and_a_seed_repeats_it(writer) -> None:
    parameters = {"max_new_tokens": 50, "seed": 3, "temperature": 0.8, "top_k": 20}
    (answer,) = writer.predict(["The "], parameters)
    assert answer["text"] == "The " + answer["completion"] and len(answer["completion"]) == 50
    assert writer.predict(["The "], parameters) == [answer]
    assert writer.predict(["The "], parameters | {"seed": 4}) != [answer]
    cold = {"max_new_tokens": 20, "temperature": 0}
    assert writer.predict(["The "], cold) == writer.predict(["The "], cold)


def test_prompts_may_be_empty_or_longer_than_the_context(writer) -> None:
    empty, long = writer.predict(["", "The class " * 50], {"max_new_tokens": 5})
    assert len(empty["completion"]) == len(long["completion"]) == 5


@pytest.mark.parametrize(
    ("inputs", "parameters", "code"),
    [
        (["日本"], {}, FailureCode.BAD_DATA),
        ([7], {}, FailureCode.BAD_DATA),
        (["a"], {"max_new_tokens": 1001}, FailureCode.BAD_CONFIG),
        (["a"], {"temperature": float("nan")}, FailureCode.BAD_CONFIG),
        (["a"], {"creativity": 1}, FailureCode.BAD_CONFIG),
    ],
)
def test_what_cannot_be_continued_is_refused_with_a_hint(writer, inputs, parameters, code) -> None:
    with pytest.raises(EngineError) as failure:
        writer.predict(inputs, parameters)
    assert failure.value.code is code and failure.value.hint


def test_files_of_another_recipe_or_damaged_ones_are_refused(tmp_path: Path) -> None:
    trained = text_spec(tmp_path, config={"steps": 1})
    carry_out(trained)
    folder = trained.work_dir / "artifact"
    assert sorted(hashes(folder)) == ["config.json", "metrics.json", "model.safetensors", "report.json"]
    with pytest.raises(EngineError, match="it holds text-generation"):
        predictor("image-classification", folder)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(EngineError, match="can't be loaded"):
        predictor("text-generation", folder)


def test_a_run_notes_the_versions_of_its_libraries(tmp_path):
    _, sink = carry_out(text_spec(tmp_path, config={"steps": 1}))
    said = sink.events[0]["environment"]
    assert said["torch"] == torch.__version__
    for name in ("numpy", "safetensors", "tokenizers", "transformers", "peft"):
        assert said["libraries"][name] == version(name)
    assert "statsmodels" not in said["libraries"], "it is of another recipe"
    _, sink = carry_out(simulate_spec(tmp_path / "simulated"))
    assert "libraries" not in sink.events[0]["environment"]


def test_every_library_that_a_recipe_names_is_a_known_package():
    lines = (ROOT / "constraints.txt").read_text().split()
    known = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    optional = {"bitsandbytes"}  # for GPUs
    for kind in RECIPES.values():
        assert set(kind.libraries) <= known | optional, kind.name
        assert set(kind.libraries) - optional <= versions(kind.libraries).keys(), kind.name

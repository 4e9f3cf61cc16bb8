"""A trial takes a few steps, says what they cost, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from engine.launch import engine_environment, start_trainer
from engine.recipes.text_generation.config import TextGenerationConfig
from tests.engine.cast import ROOT, image_spec, simulate_spec, spec, text_spec
from tests.engine.warmth import read_events, warm_server
from tests.recipes.rows import rows_data


def trial(spec, seconds=1.0):
    """What the command prints, and its exit code."""
    path = spec.work_dir.parent / "spec.json"
    path.write_text(spec.model_dump_json())
    command = [sys.executable, "-P", "-m", "engine", "trial", str(path), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, env=engine_environment(), check=False)
    return json.loads(done.stdout), done.returncode


def test_it_says_what_steps_cost_and_writes_nothing(tmp_path):
    spec = text_spec(tmp_path)
    found, code = trial(spec)
    assert code == 0 and not spec.work_dir.exists()
    assert found["total_steps"] == 60 and 1 <= found["steps"] <= 60 and found["examples_per_step"] == 8
    assert 0 < found["seconds_per_step"] < 1 and found["evaluation_seconds"] > 0
    assert found["checkpoint_bytes"] > 4 * found["parameters"] > 0
    assert 50 << 20 < found["memory_bytes"] < 4 << 30
    assert found["device_memory_bytes"] is None and found["device"].startswith("CPU")


def test_whether_steps_go_by_the_items_is_told(tmp_path):
    pairs = [{"prompt": f"What is {n}?", "completion": f"It is {n}, and after it comes {n + 1}."} for n in range(3000)]
    small = {"width": 16, "layers": 1, "heads": 2, "tokenizer": "byte", "block_size": 64, "packing": False}
    given = [rows_data(tmp_path / "few", pairs[:40]), rows_data(tmp_path / "many", pairs)]
    few, many = (trial(spec(data.manifest.parent, "text-generation", small, data=data), 0.1)[0] for data in given)
    assert not few["fixed"] and (few["total_steps"], few["steps_per_epoch"]) == (100, pytest.approx(32 / 12))
    config = TextGenerationConfig.model_validate(small)
    assert config.steps_for(2400, 75 * few["steps_per_epoch"]) == many["total_steps"] == 600
    assert config.steps_for(2400) is None, "without a look nothing is known"
    texts = text_spec(tmp_path / "texts", config={"steps": "auto"})
    found, _ = trial(texts, 0.1)
    assert found["fixed"] and found["total_steps"] == 2000


def test_pictures_are_measured_too(tmp_path):
    found, code = trial(image_spec(tmp_path))
    assert code == 0 and (found["train_items"], found["validation_items"]) == (200, 50)


def test_what_can_not_run_is_said_in_words(tmp_path):
    found, code = trial(text_spec(tmp_path, config={"width": 33}))
    assert code == 1 and found["code"] == "BAD_CONFIG" and found["hint"]
    path = tmp_path / "spec.json"
    path.write_text("{}")
    command = [sys.executable, "-P", "-m", "engine", "trial", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, env=engine_environment(), check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["message"]


def test_memory_that_runs_out_is_said_as_such(tmp_path):
    found, code = trial(simulate_spec(tmp_path, failure="out_of_memory", fail_at_step=1))
    assert code == 1 and found["code"] == "OUT_OF_MEMORY"


def test_a_forked_trial_counts_what_it_holds_itself(tmp_path):
    spec = text_spec(tmp_path).model_copy(update={"trial_seconds": 0.5})
    path = tmp_path / "spec.json"
    path.write_text(spec.model_dump_json())
    with warm_server(tmp_path) as (socket_path, _):
        trainer = start_trainer(path, socket_path=socket_path)
        last = read_events(trainer)[-1]
        trainer.close()
    assert last["event"] == "measured" and last["seconds_per_step"] > 0
    assert 10 << 20 < last["memory_bytes"] < 2 << 30
    assert not (spec.work_dir / "artifact").exists()

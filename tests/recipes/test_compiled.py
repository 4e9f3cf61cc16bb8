"""Compiled steps learn what others learn, leave the same files, and where they can't be had a run goes on without."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine import compiling, eager
from engine.protocol import Command, Event, Exit, Spec
from engine.task import Plan
from tests.engine.cast import carry_out, image_spec, newest_checkpoint, outcome, text_spec
from tests.engine.test_data_order import task_of
from tests.recipes.specs import image_fine_tuning, text_fine_tuning, text_pairs

TINY = {"layers": 1, "width": 16, "block_size": 16, "batch_size": 4, "steps": 12, "dropout": 0.0, "sample_every": 0}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the compiler but its last stage, which writes code and takes a minute."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path_factory.mktemp("code")))
        yield


def tiny(root: Path, compiled: str = "on", **changes: Any) -> Spec:
    return text_spec(root, config=TINY | {"compile": compiled} | changes)


def run(spec: Spec, when: Any = None, code: Exit = Exit.COMPLETED) -> tuple[list[float], list[str]]:
    """Losses and log."""
    found, sink = carry_out(spec, when)
    assert found is code, sink.events[-1]
    return (
        [event["metrics"]["train/loss"] for event in sink.of(Event.STEP)],
        [event["message"] for event in sink.of(Event.LOG)],
    )


def names(spec: Spec) -> list[str]:
    return sorted(load_file(newest_checkpoint(spec) / "model.safetensors"))


def test_code_of_the_compiler_learns_the_same_and_resumes_exactly(tmp_path) -> None:
    if shutil.which("g++") is None or (os.cpu_count() or 1) < 4:
        pytest.skip("compiling wants a C++ compiler, and on a small machine a minute of all its cores")
    plain, compiled, resumed = (tmp_path / name for name in ("plain", "compiled", "resumed"))
    for folder in (plain, compiled, resumed):
        folder.mkdir()
    expected, said = run(tiny(plain, "off"))
    assert not any("compiled" in line for line in said)
    losses, said = run(tiny(compiled))
    assert any(line.startswith("The model was compiled in") for line in said)
    assert losses == pytest.approx(expected, abs=2e-3)
    assert names(tiny(compiled)) == names(tiny(plain))
    results = [load_file(tiny(folder).work_dir / "artifact" / "model.safetensors") for folder in (plain, compiled)]
    assert sorted(results[0]) == sorted(results[1])

    first, _ = run(tiny(resumed), {5: Command.PAUSE}, Exit.PAUSED)
    eager.use_compiler().reset()  # as in another process
    rest, _ = run(tiny(resumed))
    assert first + rest == losses and outcome(tiny(resumed)) == outcome(tiny(compiled)), "bit for bit"


def test_without_a_compiler_a_run_goes_on_as_it_is(tmp_path, traced, monkeypatch) -> None:
    """Even from a checkpoint that compiled steps have left."""
    (tmp_path / "plain").mkdir()
    expected, _ = run(tiny(tmp_path / "plain", "off"))
    first, said = run(tiny(tmp_path), {5: Command.PAUSE}, Exit.PAUSED)
    assert any("was compiled" in line for line in said)
    eager.use_compiler().reset()
    from torch._inductor import config
    from torch._inductor.utils import fresh_cache

    monkeypatch.setattr(compiling, "BACKEND", "inductor")
    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/g++",))
    with fresh_cache():
        rest, said = run(tiny(tmp_path))
    (sentence,) = [line for line in said if "could not be compiled" in line]
    assert "compiler" in sentence.partition(":")[2] and "\n" not in sentence
    assert first + rest == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("make", [image_spec, image_fine_tuning.spec, text_pairs.spec], ids=["images", "base", "pairs"])
def test_other_networks_are_traced_whole(tmp_path, traced, make) -> None:
    """Their losses are those of other steps, though the first call was an attempt that left no trace."""
    (tmp_path / "off").mkdir()
    (tmp_path / "on").mkdir()
    runs = {}
    for choice in ("off", "on"):
        spec = make(tmp_path / choice)
        config = spec.config | {"compile": choice, "epochs": 2, "dropout": 0.0}
        if spec.recipe == "text-generation":
            del config["epochs"]
            config |= {"packing": True, "steps": 8}
        runs[choice] = run(spec.model_copy(update={"config": config})), spec
    (losses, said), spec = runs["on"]
    assert any(line.startswith("The model was compiled in") for line in said), said
    assert losses == pytest.approx(runs["off"][0][0], abs=2e-3)
    assert names(spec) == names(runs["off"][1])
    statistics = [load_file(newest_checkpoint(one) / "model.safetensors") for _, one in runs.values()]
    for name in statistics[0]:
        torch.testing.assert_close(statistics[0][name], statistics[1][name], atol=5e-3, rtol=1e-2)


def test_a_network_that_can_t_be_compiled_says_so_and_trains(tmp_path) -> None:
    spec = text_fine_tuning.spec(tmp_path, compile="on", steps=3)
    _, said = run(spec)
    assert "Runs of this kind can't be compiled, so it trains as it is." in said


def test_memory_that_runs_out_while_compiling_divides_the_batch(tmp_path, traced, monkeypatch) -> None:
    whole = compiling._compiled

    def small(loss):
        inner = whole(loss)

        def calculate(batch):
            if len(batch) > 2:
                raise torch.OutOfMemoryError("all of it")
            return inner(batch)

        return calculate

    monkeypatch.setattr(compiling, "_compiled", small)
    _, said = run(tiny(tmp_path))
    assert any("2 parts" in line for line in said) and any("was compiled" in line for line in said)


@pytest.mark.parametrize(
    ("choice", "kind", "steps", "weights", "more", "wanted"),
    [
        ("auto", "cuda", 5000, 124_000_000, {}, True),
        ("auto", "cuda", 2000, 800_000, {}, False),
        ("auto", "cuda", 5000, 124_000_000, {"deterministic": True}, False),
        ("auto", "cpu", 5000, 124_000_000, {}, False),
        ("on", "cpu", 10, 1000, {}, True),
        ("off", "cuda", 5000, 124_000_000, {}, False),
    ],
)
def test_auto_is_for_long_runs_of_large_networks_on_a_gpu(tmp_path, choice, kind, steps, weights, more, wanted) -> None:
    context = task_of(tiny(tmp_path, choice, **more)).context
    plan = Plan(steps, 1, weights, 1, 1, 0)
    assert compiling.wanted(context, torch.device(kind), plan) is wanted
    trial = context.spec.model_copy(update={"trial_seconds": 5.0})
    assert not compiling.wanted(type(context)(trial, context.config, context.sink), torch.device(kind), plan)

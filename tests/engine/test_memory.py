"""A run that needs more memory than there is helps itself, and where it can't it says what to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engine import memory
from engine.catalogue import config_class
from engine.device import Device
from engine.events import ListSink
from engine.fitting import Fitting
from engine.protocol import Command, EngineError, Event, Exit, FailureCode, Spec
from engine.recipes.image_classification.trainer import ImageClassificationTask
from engine.recipes.text_generation.trainer import LanguageTask, TextGenerationTask
from engine.run import load
from engine.task import Context
from engine.training import TorchTask
from tests.engine.cast import carry_out, image_spec, outcome, text_spec
from tests.engine.test_exact_resume import metrics

SHORT = {"steps": 30, "batch_size": 8}
PICTURES = {"epochs": 2, "batch_size": 16, "dropout": 0.1}
MakeSpec = Callable[..., Spec]
Raise = Callable[[], None]


def by_the_device() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def by_the_machine() -> None:
    torch.empty(2**45)  # what torch's own allocator says of it


@pytest.fixture(params=[by_the_device, by_the_machine])
def refuse(request) -> Raise:
    return request.param


def limit(monkeypatch, task: type[TorchTask], most: int, refuse: Raise = by_the_device) -> None:
    """Memory suffices for so many examples at a time; it runs out after the pass, which has drawn dropout and counted
    statistics by then."""
    loss = task.loss

    def limited(self: Any, batch: Any) -> Any:
        found = loss(self, batch)
        if len(batch[0] if isinstance(batch, tuple) else batch) > most:
            refuse()
        return found

    monkeypatch.setattr(task, "loss", limited)


def lacking_at(monkeypatch, task: type[TorchTask], *calls: int) -> None:
    """Memory runs out at these passes through the model, counted over the run."""
    loss, made = task.loss, [0]

    def limited(self: Any, batch: Any) -> Any:
        made[0] += 1
        found = loss(self, batch)
        if made[0] in calls:
            by_the_device()
        return found

    monkeypatch.setattr(task, "loss", limited)


def logs(sink: ListSink) -> list[str]:
    return [event["message"] for event in sink.of(Event.LOG)]


def result(spec: Spec) -> dict[str, str]:
    """Weights, optimizer and random numbers; what a file says of the settings differs, as they do."""
    return {name: digest for name, digest in outcome(spec).items() if name.endswith(".safetensors")}


@pytest.mark.parametrize(
    ("make", "task", "config", "most", "parts"),
    [
        (text_spec, TextGenerationTask, SHORT, 3, 4),
        (text_spec, TextGenerationTask, {**SHORT, "batch_size": 7}, 1, 7),
        (image_spec, ImageClassificationTask, PICTURES, 4, 4),
    ],
)
def test_a_step_that_does_not_fit_is_taken_in_parts(monkeypatch, tmp_path, refuse, make, task, config, most, parts):
    whole = make(tmp_path / "fixed", config={**config, "accumulate": parts}, data=None)
    code, fixed = carry_out(whole)
    assert code is Exit.COMPLETED, fixed.events[-1]
    limit(monkeypatch, task, most, refuse)
    spec = make(tmp_path / "auto", config=config)
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    assert metrics(sink.events) == metrics(fixed.events)
    assert result(spec) == result(whole) and len(result(spec)) > 2
    told = [line for line in logs(sink) if "Memory did not suffice at step 1" in line]
    assert f"calculated in {parts} parts" in told[-1]


def test_an_attempt_in_too_few_parts_leaves_no_gradient(monkeypatch, tmp_path):
    """It runs out in the second of two parts, when there are gradients of the first."""
    whole = text_spec(tmp_path / "fixed", config={**SHORT, "accumulate": 4})
    carry_out(whole)
    lacking_at(monkeypatch, TextGenerationTask, 1, 3)
    spec = text_spec(tmp_path / "auto", config=SHORT)
    assert carry_out(spec)[0] is Exit.COMPLETED
    assert result(spec) == result(whole)


def test_a_resumed_run_goes_on_in_as_many_parts(monkeypatch, tmp_path):
    with monkeypatch.context() as scarce:
        lacking_at(scarce, TextGenerationTask, 4)
        whole = text_spec(tmp_path / "whole", config=SHORT)
        _, undisturbed = carry_out(whole)
    with monkeypatch.context() as scarce:
        lacking_at(scarce, TextGenerationTask, 4)
        spec = text_spec(tmp_path / "paused", config=SHORT)
        code, first = carry_out(spec, {12: Command.PAUSE})
        assert code is Exit.PAUSED
    _, second = carry_out(spec)  # where memory would suffice
    assert outcome(spec) == outcome(whole)
    assert metrics([*first.events, *second.events]) == metrics(undisturbed.events)
    plain = text_spec(tmp_path / "plain", config=SHORT)
    carry_out(plain)
    assert result(plain) != result(whole), "the parts make a difference, so the test can tell"


def test_a_checkpoint_of_old_says_nothing_of_parts(tmp_path):
    task = built(text_spec(tmp_path, config=SHORT))
    task.step(0)
    files = task.state()
    said = json.loads(files["state.json"])
    assert said.pop("parts") == {"training": 1, "evaluation": 1}
    task.restore({**files, "state.json": json.dumps(said).encode()})
    task.step(1)
    assert task.fitting.parts == 1


def built(spec: Spec) -> Any:
    config = config_class(spec.recipe).model_validate(spec.config)
    from engine.catalogue import recipe

    return load(recipe(spec.recipe).trainer)(Context(spec, config, ListSink()))


@pytest.mark.parametrize(
    ("accumulate", "said", "advised", "left"),
    [
        ("auto", "at step 1, though a batch was calculated with one example at a time", "'Context length'", "Batch"),
        (2, "at step 1.", "set 'Accumulate gradients over' to auto", "one example"),
    ],
)
def test_where_one_example_is_too_much_it_says_what_to_change(monkeypatch, tmp_path, accumulate, said, advised, left):
    limit(monkeypatch, TextGenerationTask, 0)
    code, sink = carry_out(text_spec(tmp_path, config={**SHORT, "accumulate": accumulate}))
    assert code is Exit.FAILED
    failed = sink.events[-1]
    assert failed["code"] == FailureCode.OUT_OF_MEMORY
    assert said in failed["message"] and advised in failed["hint"] and left not in failed["hint"] + failed["message"]


def test_a_normalisation_keeps_two_examples(monkeypatch, tmp_path):
    limit(monkeypatch, ImageClassificationTask, 1)
    code, sink = carry_out(image_spec(tmp_path, config=PICTURES))
    assert code is Exit.FAILED and "2 examples at a time" in sink.events[-1]["message"]
    assert "'Image size'" in sink.events[-1]["hint"]


def test_other_errors_end_the_run_as_ever(monkeypatch, tmp_path):
    def broken(self: Any, batch: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(TextGenerationTask, "loss", broken)
    code, sink = carry_out(text_spec(tmp_path, config=SHORT))
    assert code is Exit.FAILED and sink.events[-1]["code"] == FailureCode.CODE_ERROR
    assert not any("Memory" in line for line in logs(sink))


def test_of_several_processes_none_divides_for_itself(tmp_path):
    """One that runs out of memory would leave the others waiting."""
    spec = text_spec(tmp_path)
    config = config_class(spec.recipe).model_validate(spec.config)
    context = Context(spec, config, ListSink(), team=SimpleNamespace(size=2))  # type: ignore[arg-type]
    fitting = Fitting(context, Device(torch.device("cpu"), None), torch.nn.Linear(1, 1))
    with pytest.raises(EngineError) as refused:
        fitting.trained(0, 8, lambda parts: by_the_device(), lambda: None)
    assert refused.value.code is FailureCode.OUT_OF_MEMORY and "'accumulate' to 2 or more" in refused.value.hint
    assert fitting.kept() == {}


@pytest.mark.parametrize(
    ("make", "task", "way", "config"),
    [
        (text_spec, LanguageTask, "_summed", SHORT),
        (image_spec, ImageClassificationTask, "answer", PICTURES),
    ],
)
def test_an_evaluation_that_does_not_fit_takes_fewer_at_a_time(monkeypatch, tmp_path, make, task, way, config):
    _, whole = carry_out(make(tmp_path / "whole", config=config))
    judge, sizes = getattr(task, way), []

    def limited(self: Any, *given: Any) -> Any:
        rows = given[-1]
        size = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        sizes.append(size)
        if size > 3:
            by_the_device()
        return judge(self, *given)

    monkeypatch.setattr(task, way, limited)
    code, sink = carry_out(make(tmp_path / "fewer", config=config))
    assert code is Exit.COMPLETED, sink.events[-1]
    assert any("to evaluate" in line for line in logs(sink)) and max(sizes[-5:]) <= 3
    for one, two in zip(whole.of(Event.EVALUATION), sink.of(Event.EVALUATION), strict=True):
        for name, value in one["metrics"].items():
            if not name.startswith("run/"):
                assert two["metrics"][name] == pytest.approx(value, rel=1e-5), name


def test_what_is_advised_is_what_helps():
    settings = config_class("text-generation")
    assert memory.cure(settings).startswith("Lower 'Batch size', lower 'Context length' or lower 'Width'")
    assert "'Method' to lora" in memory.cure(settings, names=memory.CURES_OF_BASES)
    assert "Method" not in memory.cure(settings, {"method": "qlora"}, memory.CURES_OF_BASES)
    assert memory.cure(config_class("simulate")) == ""

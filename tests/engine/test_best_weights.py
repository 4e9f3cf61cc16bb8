"""The result may have the weights of the lowest validation loss, and a run that gets no better may end."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engine.checkpoint import Checkpoints
from engine.processes import Ended
from engine.protocol import Command, Event, Exit, Spec
from tests.engine.cast import carry_out, image_spec, outcome, text_data, text_spec
from tests.engine.crew import Crew
from tests.engine.test_exact_resume import metrics

# So few characters, so often, that the network learns them by heart.
BY_HEART = {
    "keep": "best", "steps": 160, "batch_size": 16, "learning_rate": 0.02, "dropout": 0.0, "evaluate_every": 16,
    "evaluation_batches": 2, "sample_every": 0, "minimum_learning_rate_ratio": 1.0,
}  # fmt: skip


def by_heart(root: Path, **changes: object) -> Spec:
    config = BY_HEART | changes.pop("config", {})  # type: ignore[operator]
    root.mkdir(exist_ok=True)
    return text_spec(root, config=config, data=text_data(root, 1500), **changes)


def curve(events: list[dict]) -> dict[int, float]:
    """Each step's; at the end only what is new is told of the weights that are kept."""
    told = [event for event in events if event["event"] == "evaluation" and "validation/loss" in event["metrics"]]
    assert len({event["step"] for event in told}) == len(told), "each step is told of once"
    return {event["step"]: event["metrics"]["validation/loss"] for event in told}


def said(events: list[dict]) -> str:
    return " ".join(event["message"] for event in events if event["event"] == "log")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    spec = by_heart(tmp_path_factory.mktemp("best"))
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED, sink.events[-1]
    return spec, sink.events


def test_the_result_has_the_weights_of_the_lowest_loss(whole, tmp_path):
    spec, events = whole
    losses, last = curve(events), events[-1]["metrics"]
    best = min(losses, key=losses.get)
    assert losses[160] > losses[best] + 0.3, "it was learned by heart"
    assert (last["best/step"], last["best/validation/loss"]) == (best, losses[best])
    assert last["validation/loss"] < losses[160] - 0.3, "the figures are those of the weights that are kept"
    assert f"The weights of step {best} are kept" in said(events)

    until_then = by_heart(tmp_path, config={"keep": "last", "steps": best})
    assert carry_out(until_then)[0] is Exit.COMPLETED
    assert outcome(until_then)["artifact/model.safetensors"] == outcome(spec)["artifact/model.safetensors"]


def test_the_last_weights_are_kept_where_that_is_asked_for(whole, tmp_path):
    spec = by_heart(tmp_path, config={"keep": "last"})
    _, sink = carry_out(spec)
    assert sink.events[-1]["metrics"]["validation/loss"] > whole[1][-1]["metrics"]["validation/loss"] + 0.3
    assert "are kept" not in said(sink.events)
    assert "best.weights" not in outcome(spec)
    assert outcome(spec)["artifact/model.safetensors"] != outcome(whole[0])["artifact/model.safetensors"]


@pytest.mark.parametrize("end", [90, 160], ids=["on the way", "at the end"])
def test_a_pause_changes_no_bit_of_the_best(whole, tmp_path, end):
    spec = by_heart(tmp_path)
    code, before = carry_out(spec, {end: Command.PAUSE})
    assert code is Exit.PAUSED
    code, after = carry_out(spec)
    assert code is Exit.COMPLETED
    # When the last evaluation was made is not the same, which a checkpoint's manifest says.
    left, expected = outcome(spec), outcome(whole[0])
    assert end == 90 or left.pop("manifest.json") != expected.pop("manifest.json")
    assert left == expected
    assert metrics(before.events) | metrics(after.events) == metrics(whole[1])


def test_a_pause_while_the_best_are_judged_changes_no_bit(whole, tmp_path):
    spec = by_heart(tmp_path)
    code, before = carry_out(spec, {Event.LOG: Command.PAUSE})
    if code is not Exit.PAUSED:  # an earlier line of the log
        pytest.fail(str(before.events[-1]))
    while code is Exit.PAUSED:
        code, sink = carry_out(spec)
    assert code is Exit.COMPLETED and "are kept" in said(sink.events)
    assert outcome(spec) == outcome(whole[0])


def test_a_run_that_gets_no_better_ends_early(whole, tmp_path):
    losses = curve(whole[1])
    best = min(losses, key=losses.get)
    spec = by_heart(tmp_path, config={"patience": 3})
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED
    assert sink.events[-1]["step"] == best + 3 * 16
    assert "Ended early: 3 evaluations in a row brought no lower validation loss." in said(sink.events)
    assert outcome(spec)["artifact/model.safetensors"] == outcome(whole[0])["artifact/model.safetensors"]

    paused = by_heart(tmp_path / "paused", config={"patience": 3})
    assert carry_out(paused, {best + 40: Command.PAUSE})[0] is Exit.PAUSED
    code, again = carry_out(paused)
    assert code is Exit.COMPLETED and again.events[-1]["step"] == best + 48
    assert outcome(paused) == outcome(spec)


def test_a_run_of_two_keeps_and_ends_as_one_would(tmp_path):
    spec = by_heart(tmp_path, config={"patience": 2}, processes=2)
    with Crew(spec) as crew:
        assert crew.finish() == Ended(code=Exit.COMPLETED), crew.output()
    losses, last = curve(crew.events), crew.events[-1]
    best = min(losses, key=losses.get)
    assert last["step"] == best + 32 and last["metrics"]["best/step"] == best
    assert last["metrics"]["validation/loss"] < losses[last["step"]]
    assert f"The weights of step {best} are kept" in said(crew.events)


def test_a_checkpoint_without_the_best_weights_goes_on(tmp_path):
    """As releases wrote them that kept none."""
    from engine.checkpoint import fingerprint
    from engine.events import ListSink

    spec = by_heart(tmp_path)
    assert carry_out(spec, {90: Command.PAUSE})[0] is Exit.PAUSED
    kept = Checkpoints(spec.work_dir / "checkpoints", spec.keep_checkpoints, fingerprint(spec), ListSink())
    found = kept.newest()
    assert found is not None and found.progress["best"]
    files = {name: data for name, data in found.files.items() if name != "best.weights"}
    progress = {name: value for name, value in found.progress.items() if name != "named"}
    kept.save(91, progress, files)
    code, sink = carry_out(spec)
    assert code is Exit.COMPLETED and sink.of(Event.STARTED)[0]["resumed_from"] == 91
    assert sink.events[-1]["metrics"]["best/step"] > 91
    assert math.isfinite(sink.events[-1]["metrics"]["validation/loss"])


def test_of_pictures_too_the_statistics_of_the_best_are_kept(tmp_path):
    config = {
        "keep": "best", "learning_rate": 0.3, "epochs": 8, "augmentation": "none", "warmup_ratio": 0.0,
        "minimum_learning_rate_ratio": 1.0,
    }  # fmt: skip
    for seed in range(6):  # on some processors the last step of some seeds is the best one, which would show nothing
        root = tmp_path / str(seed)
        root.mkdir()
        code, sink = carry_out(image_spec(root, config=config, seed=seed))
        assert code is Exit.COMPLETED
        losses, found = curve(sink.events), sink.events[-1]["metrics"]
        best = min(losses, key=losses.get)
        assert found["validation/loss"] == pytest.approx(losses[best], rel=1e-5) == found["best/validation/loss"]
        if best < max(losses):
            return
    raise AssertionError("the last weights were the best of each seed")

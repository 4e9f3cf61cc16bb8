"""Checkpoints: whole or not there, checked before use, never silently given up."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from engine.checkpoint import Checkpoints
from engine.events import ListSink
from engine.protocol import Command, EngineError, Event, Exit, FailureCode
from tests.engine.cast import (
    Process,
    carry_out,
    newest_checkpoint,
    outcome,
    simulate_spec,
    temporary_files,
    text_spec,
)


def checkpoints(root: Path, keep: int = 3, run: str = "ours") -> Checkpoints:
    return Checkpoints(root / "checkpoints", keep, run, ListSink())


def save_three(root: Path) -> Path:
    mine = checkpoints(root)
    for step in (10, 20, 30):
        mine.save(step, {"latest": {}}, {"model": b"weights %d " % step * 100, "other": b"{}"})
    return root / "checkpoints"


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "bit":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "missing":
            path.unlink()


def test_the_newest_is_used(tmp_path: Path) -> None:
    save_three(tmp_path)
    found = checkpoints(tmp_path).newest()
    assert found and found.step == 30 and found.files["model"].startswith(b"weights 30")


def test_one_whose_steps_were_not_recorded_is_removed_for_the_one_before(tmp_path: Path) -> None:
    folder = save_three(tmp_path)
    found = checkpoints(tmp_path).newest(limit=25)
    assert found and found.step == 20
    assert not list(folder.glob("step-*30"))
    assert checkpoints(tmp_path).newest(limit=5) is None
    assert not list(folder.glob("step-*"))


def test_nothing_written_yet_is_a_fresh_start(tmp_path: Path) -> None:
    assert checkpoints(tmp_path).newest() is None


@pytest.mark.parametrize("how", ["bit", "cut", "missing"])
@pytest.mark.parametrize("file", ["model", "other", "manifest.json"])
def test_a_damaged_one_is_skipped_for_the_one_before(tmp_path: Path, file: str, how: str) -> None:
    folder = save_three(tmp_path)
    damage(folder / "step-00000030" / file, how)
    sink = ListSink()
    found = Checkpoints(folder, 3, "ours", sink).newest()
    assert found and found.step == 20
    skipped = sink.of(Event.CHECKPOINT_SKIPPED)
    assert [e["name"] for e in skipped] == ["step-00000030"] and skipped[0]["reason"]


def test_when_all_are_damaged_the_run_fails_and_never_starts_over_silently(tmp_path: Path) -> None:
    folder = save_three(tmp_path)
    for step in folder.iterdir():
        damage(step / "model", "bit")
    with pytest.raises(EngineError) as failure:
        checkpoints(tmp_path).newest()
    assert failure.value.code is FailureCode.CORRUPT_CHECKPOINTS


def test_a_checkpoint_of_another_run_is_not_taken(tmp_path: Path) -> None:
    save_three(tmp_path)
    with pytest.raises(EngineError):
        checkpoints(tmp_path, run="another").newest()


def test_new_checkpoints_are_kept_beside_damaged_later_ones(tmp_path: Path) -> None:
    folder = save_three(tmp_path)
    for step in (20, 30):
        damage(folder / f"step-{step:08d}" / "model", "bit")
    mine = checkpoints(tmp_path, keep=1)
    assert mine.newest()
    mine.save(15, {}, {"model": b"x"})
    assert [p.name for p in folder.iterdir()] == ["step-00000015"]


def test_only_the_last_ones_are_kept(tmp_path: Path) -> None:
    mine = checkpoints(tmp_path, keep=2)
    for step in range(5):
        mine.save(step, {}, {"model": b"x"})
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000003", "step-00000004"]


def test_what_an_interrupted_save_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".tmp-step-00000040-123"
    left.mkdir(parents=True)
    (left / "model").write_bytes(b"half")
    save_three(tmp_path)
    assert not left.exists()


def test_a_run_goes_on_from_the_older_checkpoint_and_ends_the_same(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = text_spec(tmp_path / "whole")
    carry_out(whole)
    spec = text_spec(tmp_path, checkpoint_seconds=0.0)
    carry_out(spec, {30: Command.PAUSE})
    damage(newest_checkpoint(spec) / "optimizer.safetensors", "bit")

    code, sink = carry_out(spec)

    assert code is Exit.COMPLETED
    assert sink.of(Event.CHECKPOINT_SKIPPED)[0]["name"] == "step-00000030"
    assert sink.of(Event.STARTED)[0]["resumed_from"] == 29
    assert outcome(spec) == outcome(whole)


def test_a_run_whose_checkpoints_are_all_damaged_says_so(tmp_path: Path) -> None:
    spec = simulate_spec(tmp_path).model_copy(update={"checkpoint_seconds": 0.0})
    carry_out(spec, {10: Command.PAUSE})
    for folder in (spec.work_dir / "checkpoints").iterdir():
        damage(folder / "manifest.json", "cut")
    code, sink = carry_out(spec)
    assert code is Exit.FAILED
    assert sink.events[-1]["code"] == FailureCode.CORRUPT_CHECKPOINTS
    assert sink.of(Event.STEP) == []


def test_a_full_disk_fails_the_run_and_spares_the_previous_checkpoint(tmp_path: Path) -> None:
    spec = text_spec(tmp_path)
    carry_out(spec, {20: Command.PAUSE})
    limit = 50_000  # bytes a file may have: less than the optimizer's state

    full = Process(spec, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert full.finish() == Exit.FAILED
    failed = full.events[-1]
    assert (failed["code"], failed["event"]) == ("DISK_FULL", "failed") and failed["hint"]
    assert temporary_files(tmp_path) == []
    assert newest_checkpoint(spec).name == "step-00000020"

    code, sink = carry_out(spec)  # there is room again
    assert code is Exit.COMPLETED and sink.of(Event.STARTED)[0]["resumed_from"] == 20


def test_a_folder_that_cannot_be_written_is_an_explained_failure(tmp_path: Path) -> None:
    spec = simulate_spec(tmp_path)
    spec.work_dir.write_text("a file where a folder should be")
    code, sink = carry_out(spec)
    assert code is Exit.FAILED and sink.events[-1]["traceback"]


def test_checkpoints_come_by_wall_time(tmp_path: Path) -> None:
    spec = simulate_spec(tmp_path, steps=40, step_seconds=0.01)
    _, sink = carry_out(spec.model_copy(update={"checkpoint_seconds": 0.1}))
    steps = [e["step"] for e in sink.of(Event.CHECKPOINT)]
    assert 3 <= len(steps) <= 5 and steps[-1] == 40
    assert len(os.listdir(spec.work_dir / "checkpoints")) == 3

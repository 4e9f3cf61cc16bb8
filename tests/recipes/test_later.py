"""Checkpoints are written beside the training, one at a time, and a failed one ends the run in words."""

from __future__ import annotations

import threading
import time

import pytest

from engine.checkpoint import Checkpoints
from engine.events import ListSink
from engine.later import Later
from engine.protocol import EngineError, Event, Exit
from tests.engine.cast import carry_out, text_spec


class Slow(Checkpoints):
    """A disk that takes its time."""

    def __init__(self, folder, sink):
        super().__init__(folder, 3, "run", sink)
        self.go = threading.Event()

    def save(self, step, progress, files):
        assert self.go.wait(30)
        super().save(step, progress, files)


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path):
    sink = ListSink()
    slow = Slow(tmp_path, sink)
    later = Later(slow)
    later.save(5, {}, {"a": b"state at 5"})
    later.look()
    assert not sink.events, "nothing is written yet, and nobody has waited for it"
    slow.go.set()
    later.wait()
    assert [event["step"] for event in sink.of(Event.CHECKPOINT)] == [5]
    assert slow.at(5).files == {"a": b"state at 5"}


def test_one_is_written_after_the_other(tmp_path):
    sink = ListSink()
    slow = Slow(tmp_path, sink)
    later = Later(slow)
    later.save(1, {}, {"a": b"1"})
    threading.Timer(0.2, slow.go.set).start()
    begun = time.monotonic()
    later.save(2, {}, {"a": b"2"})
    assert time.monotonic() - begun > 0.1
    later.wait()
    assert [event["step"] for event in sink.of(Event.CHECKPOINT)] == [1, 2]


def test_what_went_wrong_is_raised_once_at_the_next_look(tmp_path):
    checkpoints = Checkpoints(tmp_path, 3, "run", ListSink())
    later = Later(checkpoints)
    (tmp_path / "step-00000001").write_text("in the way")
    checkpoints._at = lambda step: tmp_path / "step-00000001" / "below a file"
    later.save(1, {}, {})
    with pytest.raises(OSError):
        later.wait()
    later.look()
    later.close()


def test_a_full_disk_ends_the_run_in_words(tmp_path, monkeypatch):
    spec = text_spec(tmp_path).model_copy(update={"checkpoint_seconds": 0.0})

    def full(self, step, progress, files):
        raise EngineError("DISK_FULL", "The disk is full: planted.", "Free some space and retry the job.")

    monkeypatch.setattr(Checkpoints, "save", full)
    code, sink = carry_out(spec)
    assert code is Exit.FAILED
    assert (sink.events[-1]["code"], sink.events[-1]["message"]) == ("DISK_FULL", "The disk is full: planted.")
    assert len(sink.of(Event.STEP)) < 5

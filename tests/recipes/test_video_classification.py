"""Films are told apart by what moves in them, wherever it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine import films as engine_films
from engine.catalogue import load, recipe
from engine.media import BadMedia
from engine.protocol import EngineError, Event, Exit
from engine.recipes.video_classification.clips import drawn, even
from tests.engine.cast import carry_out, make_data, spec
from tests.recipes.clips import film, films, moving, recordings

NAME = "video-classification"


def test_what_moves_left_is_told_from_what_moves_right(tmp_path: Path) -> None:
    files = films(20)
    config = {"epochs": 20, "batch_size": 6, "width": 8, "depth": 2, "image_size": 24, "frames": 4, "dropout": 0.1}
    config["augmentation"] = "light"
    job = spec(tmp_path, NAME, config, data=make_data(tmp_path, "video", files))
    code, sink = carry_out(job)
    assert code is Exit.COMPLETED, sink.events[-1]
    metrics = sink.events[-1]["metrics"]
    assert metrics["validation/accuracy"] >= 0.9

    model = load(recipe(NAME).predictor).load(job.work_dir / "artifact", "cpu")
    held_out = [(label, content) for _, label, split, content in files if split == "validation"]
    answers = model.predict([content for _, content in held_out])
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, held_out, strict=True))
    assert right / len(held_out) == pytest.approx(metrics["validation/accuracy"])
    for bad in ([b"no film"], ["text"], [recordings(1)[0][3]]):
        with pytest.raises(EngineError, match="Input 1 can't be classified"):
            model.predict(bad)


def test_a_file_that_is_no_film_is_named(tmp_path: Path) -> None:
    files = [*films(4), ("left/broken.mp4", "left", "train", films(1)[0][3][:900])]
    code, sink = carry_out(spec(tmp_path, NAME, {}, data=make_data(tmp_path, "video", files)))
    assert code is Exit.FAILED and sink.events[-1]["code"] == "BAD_DATA"
    assert "'left/broken.mp4' can't be used" in sink.events[-1]["message"]
    assert not sink.of(Event.STEP)


def test_frames_are_spread_evenly_over_a_film_of_any_length() -> None:
    for count in (3, 40, 100):
        grey = [np.full((32, 48, 3), 40 + 160 * place // count, np.uint8) for place in range(count)]
        seen = engine_films.decode(film(grey), 4, 16)
        assert seen.shape == (4, 3, 16, 16)
        levels = seen.mean((1, 2, 3))
        assert (np.diff(levels) >= -2).all()
        assert levels[0] < 60 and levels[-1] > 40 + 160 * (count - 1) / count - 20
    assert engine_films.look(film(moving(True, 1))) == engine_films.Facts(48, 36)
    with pytest.raises(BadMedia):
        engine_films.decode(b"no film", 4, 16)


def test_training_sees_a_frame_of_each_stretch() -> None:
    clips = torch.arange(12).view(2, 6, 1)
    assert even(clips).flatten(1).tolist() == [[1, 3, 5], [7, 9, 11]]
    dice = torch.tensor([[0.1, 0.9, 0.1], [0.9, 0.1, 0.9]])
    assert drawn(clips, dice).flatten(1).tolist() == [[0, 3, 4], [7, 8, 11]]

"""Images are changed as far as suits them, and rare classes are seen as often as is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.protocol import Command, Event, Exit
from engine.recipes.image_classification.trainer import choose_strength
from tests.engine.cast import FileLine, carry_out, image_spec, make_data, png


def photos(count: int = 8, side: int = 40) -> list[FileLine]:
    """Soft colours in two directions."""
    random = np.random.default_rng(5)
    across = np.linspace(0, 255, side)
    files = []
    for number in range(count):
        label = ("across", "down")[number % 2]
        grey = np.broadcast_to(across if number % 2 else across[:, None], (side, side))
        pixels = np.clip(grey[..., None] + random.normal(0, 20, (side, side, 3)), 0, 255)
        files.append((f"{label}/{number}.png", label, "train" if number % 4 else "validation", png(pixels)))
    files.append(("down/last.png", "down", "validation", files[1][3]))
    return files


def letters() -> list[FileLine]:
    files = []
    for name, label, split, _ in photos():
        pixels = np.full((40, 40), 255)
        pixels[10:30, 18:22] = 0
        pixels[18:22, 10 : 30 if label == "down" else 18] = 0
        files.append((name, label, split, png(pixels)))
    return files


@pytest.mark.parametrize(("files", "said"), [(photos, "strong: the images are photos"), (letters, "light:")])
def test_photos_are_changed_more_than_letters_and_the_log_says_why(files, said: str, tmp_path: Path) -> None:
    config = {"augmentation": "auto", "epochs": 1, "batch_size": 2}
    spec = image_spec(tmp_path, config=config, data=make_data(tmp_path, "image", files()))
    code, sink = carry_out(spec, {1: Command.CANCEL})
    assert code is Exit.CANCELLED
    assert any(f"Augmentation is {said}" in event["message"] for event in sink.of(Event.LOG))


def test_tiny_images_are_changed_little() -> None:
    assert choose_strength(8, 0.1)[0] == choose_strength(64, 0.6)[0] == "light"
    assert choose_strength(64, 0.3)[0] == "strong"


def test_balanced_sampling_shows_all_classes_equally_often(tmp_path: Path) -> None:
    from engine.catalogue import check_config
    from engine.events import ListSink
    from engine.recipes.image_classification.trainer import build
    from engine.task import Context

    random = np.random.default_rng(1)
    files = [
        (f"{number}.png", label, "train" if number % 5 else "validation", png(random.integers(0, 255, (8, 8))))
        for label, count in (("common", 60), ("rare", 10))
        for number in range(count)
    ]
    spec = image_spec(tmp_path, config={"sampling": "balanced"}, data=make_data(tmp_path, "image", files))
    task = build(Context(spec, check_config(spec.recipe, spec.config), ListSink()))
    rare = task.parts.train.labels == 1
    assert int(rare.sum()) == 8 and task.count == 56
    for epoch in range(3):
        order = task._order(epoch)
        assert len(order) == 56 and int(rare[order].sum()) == 28
        assert len(order[rare[order]].unique()) == 8, "each of a rare class is seen"
    assert torch.equal(task._order(1), task._order(1))
    assert not torch.equal(task._order(1), task._order(2))

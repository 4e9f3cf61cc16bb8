"""What a step is trained on follows from seed and position alone, and an epoch sees each item once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from engine.catalogue import check_config, load, recipe
from engine.events import ListSink
from engine.protocol import Event
from engine.randomness import Dice, mix
from engine.schedule import warmup_then_cosine
from engine.task import Context
from tests.engine.cast import TEXT, carry_out, image_spec, make_data, text_spec


def task_of(spec):
    config = check_config(spec.recipe, spec.config)
    return load(recipe(spec.recipe).trainer)(Context(spec, config, ListSink()))


@pytest.mark.parametrize("make", [text_spec, image_spec])
def test_a_batch_does_not_depend_on_what_was_drawn_before(tmp_path: Path, make) -> None:
    task = task_of(make(tmp_path))
    first = task.batch(17)
    torch.rand(100)
    for index in (3, 40, 16):
        task.batch(index)
    again = task.batch(17)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    other = task.batch(18)
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_an_epoch_sees_each_image_once_in_batches_of_nearly_one_size(tmp_path: Path) -> None:
    task = task_of(image_spec(tmp_path, config={"augmentation": "none", "batch_size": 13}))
    per_epoch, count = task.plan.steps_per_epoch, task.plan.train_items
    for epoch in (0, 3):
        batches = [task.batch(epoch * per_epoch + i)[0] for i in range(per_epoch)]
        sizes = [len(batch) for batch in batches]
        assert sum(sizes) == count and max(sizes) - min(sizes) <= 1
        assert sizes == [task.examples(epoch * per_epoch + i) for i in range(per_epoch)]
        rows = torch.cat(batches).flatten(1)
        assert torch.equal(rows.sum(1).sort().values, task.parts.train.inputs.flatten(1).sum(1).sort().values)


def test_light_augmentation_changes_images_and_mirrors_none(tmp_path: Path) -> None:
    plain = task_of(image_spec(tmp_path, config={"augmentation": "none"})).batch(5)[0]
    light = task_of(image_spec(tmp_path, config={"augmentation": "light"})).batch(5)[0]
    assert not torch.equal(plain, light)
    same = (plain - light).square().mean(dim=(1, 2, 3))
    mirrored = (plain.flip(3) - light).square().mean(dim=(1, 2, 3))
    assert (same < mirrored).float().mean() > 0.9


def test_mirroring_is_done_when_asked_for(tmp_path: Path) -> None:
    plain = task_of(image_spec(tmp_path, config={"augmentation": "none"})).batch(5)[0]
    flipped = task_of(image_spec(tmp_path, config={"augmentation": "none", "horizontal_flip": True})).batch(5)[0]
    kinds = [
        "same" if torch.allclose(a, b, atol=1e-4) else "mirrored" if torch.allclose(a.flip(2), b, atol=1e-4) else "?"
        for a, b in zip(plain, flipped, strict=True)
    ]
    assert set(kinds) == {"same", "mirrored"}


def test_a_single_text_gives_its_last_tenth_for_validation_and_says_so(tmp_path: Path) -> None:
    spec = text_spec(tmp_path)
    task = task_of(spec)
    assert len(task.train) + len(task.validation) == 40_000
    assert task.tokenizer.decode(task.validation.tolist()) == TEXT[36_000:40_000]
    assert any("held out" in e["message"] for e in task.context.sink.of(Event.LOG))


def test_texts_are_joined_in_manifest_order_and_validation_items_are_used(tmp_path: Path) -> None:
    files = [
        ("z", None, "train", b"first " * 20),
        ("v", None, "validation", b"check " * 20),
        ("a", None, "train", "zweite ä ".encode() * 20),
        ("t", None, "test", b"never seen " * 20),
    ]
    task = task_of(text_spec(tmp_path, data=make_data(tmp_path, "text", files)))
    tokens = task.train.tolist()
    between = tokens.index(task.tokenizer.end)  # a text ends where the next one begins
    parts = [task.tokenizer.decode(part) for part in (tokens[:between], tokens[between + 1 :])]
    assert parts == ["first " * 20, "zweite ä " * 20]
    assert task.tokenizer.decode(task.validation.tolist()) == "check " * 20


def test_the_last_evaluation_reads_all_of_the_validation_text(tmp_path: Path) -> None:
    task = task_of(text_spec(tmp_path))
    loss = task.evaluate(final=True)["validation/loss"]
    # Fresh weights know nothing: the loss is near that of guessing, whatever is read.
    assert abs(loss - math.log(task.tokenizer.size)) < 0.3
    task.validation[-40:] = 0  # only the full evaluation can notice a change at the end
    assert task.evaluate(final=True)["validation/loss"] != loss


def test_byte_tokens_train_on_any_text(tmp_path: Path) -> None:
    data = make_data(tmp_path, "text", [("a", None, "train", "日本語 🙂 ".encode() * 200)])
    _, sink = carry_out(text_spec(tmp_path, data=data, config={"tokenizer": "byte", "steps": 5}))
    assert sink.events[-1]["event"] == "completed"


def test_mixed_seeds_do_not_collide() -> None:
    assert len({mix(seed, position) for seed in range(-50, 50) for position in range(200)}) == 20_000
    assert Dice(1).at(2).initial_seed() != Dice(2).at(1).initial_seed()


def test_the_learning_rate_rises_then_falls_to_its_minimum() -> None:
    rates = [warmup_then_cosine(step, 1000, 1e-3, 100, 0.1) for step in range(1001)]
    assert rates[:101] == sorted(rates[:101]) and rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[0] > 0 and max(rates) == 1e-3 and abs(rates[-1] - 1e-4) < 1e-12

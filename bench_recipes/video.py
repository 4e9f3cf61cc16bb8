"""Clips of three places, apart by time."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from bench_recipes import Done, File, Row, data, folder, frozen, train

PARTS = {"train": "train", "val": "validation", "test": "test"}


def run() -> Iterator[Row]:
    done = clips()
    yield Row(
        "intel_clips", "test/accuracy", done.metrics["test/accuracy"], "easy: 1.0", "≥ 0.95", done.seconds, "default",
        "the parts of clips.csv: by time, 60/20/20; 10 clips are the test part",
    )  # fmt: skip


def clips() -> Done:
    """The parts as the set has them."""
    root = data("intel_clips")
    with open(root / "clips.csv", newline="", encoding="utf-8") as file:
        listed = [row for row in csv.DictReader(file) if row["split"] in PARTS]
    files = [File(root / row["file"], row["label"], PARTS[row["split"]]) for row in listed]
    with folder() as scratch:
        return train(scratch, "video-classification", {}, frozen(scratch, "video", files))

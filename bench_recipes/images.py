"""Photos of hands that show digits: five ways, each part judged by a network that has not seen it."""

from __future__ import annotations

from collections.abc import Iterator

from bench_recipes import Done, File, Row, data, folder, frozen, train

WAYS = 5


def run() -> Iterator[Row]:
    found = [fold(way) for way in range(WAYS)]
    accuracies = [done.metrics["test/accuracy"] for done in found]
    yield Row(
        "sign_digits", "test/accuracy, mean of 5", sum(accuracies) / WAYS, "RBF SVM, 32×32 grey: 0.703", "> 0.85",
        sum(done.seconds for done in found) / WAYS, "default",
        f"5-fold, stratified ({min(accuracies):.3f}–{max(accuracies):.3f}); a tenth of the rest is for validation",
    )  # fmt: skip


def fold(way: int) -> Done:
    """A fifth of each class is the test part."""
    with folder() as root:
        return train(root, "image-classification", {}, frozen(root, "image", _files(way)))


def _files(way: int) -> Iterator[File]:
    for of_class in sorted(path for path in data("sign_digits").iterdir() if path.is_dir()):
        rest = 0
        for number, path in enumerate(sorted(of_class.iterdir())):
            split = "test" if number % WAYS == way else "train"
            if split == "train":
                rest += 1
                split = "train" if rest % 10 else "validation"
            yield File(path, of_class.name, split)

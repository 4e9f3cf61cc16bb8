"""Figures and pictures of classifiers, from the probabilities that they gave: plain numpy, the same for every recipe.

Formulas are those of the field: precision, recall and F1 by class, their unweighted mean (macro F1), and the expected
calibration error over ten equal bins of confidence (Guo et al., 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.report import MAX_CLASSES, MAX_ROWS, AnyBlock, Figure, Figures, Line, Lines, Matrix, Table

BINS = 10


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int64 of shape (true class, predicted class)."""
    pairs = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64)


def by_class(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1 of each class; 0 where nothing was predicted, or nothing was there."""
    right = counts.diagonal().astype(float)
    predicted, present = counts.sum(0), counts.sum(1)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=predicted > 0)
    recall = np.divide(right, present, out=np.zeros_like(right), where=present > 0)
    both = precision + recall
    return precision, recall, np.divide(2 * precision * recall, both, out=np.zeros_like(right), where=both > 0)


def macro_f1(counts: np.ndarray) -> float:
    """The mean F1 of the classes that are there."""
    present = counts.sum(1) > 0
    return float(by_class(counts)[2][present].mean()) if present.any() else 0.0


def calibration(probabilities: np.ndarray, truth: np.ndarray) -> tuple[list[float | None], list[float | None], float]:
    """Mean confidence and share that was right in each bin (None where it is empty), and the calibration error."""
    confidence, predicted = probabilities.max(1), probabilities.argmax(1)
    places = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    said: list[float | None] = []
    was: list[float | None] = []
    error = 0.0
    for place in range(BINS):
        here = places == place
        if not here.any():
            said.append(None)
            was.append(None)
            continue
        said.append(float(confidence[here].mean()))
        was.append(float((predicted[here] == truth[here]).mean()))
        error += float(here.mean()) * abs(
            float(confidence[here].mean()) - float((predicted[here] == truth[here]).mean())
        )
    return said, was, error


def metrics(part: str, probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1, mean confidence and calibration error of a part, named as `validation/accuracy`."""
    classes = probabilities.shape[1]
    counts = confusion(truth, probabilities.argmax(1), classes)
    return {
        f"{part}/accuracy": float(counts.diagonal().sum() / max(1, counts.sum())),
        f"{part}/macro_f1": macro_f1(counts),
        f"{part}/confidence": float(probabilities.max(1).mean()),
        f"{part}/calibration_error": calibration(probabilities, truth)[2],
    }


def trivial(truth: np.ndarray, classes: int, commonest: int) -> dict[str, float]:
    """The same of the validation part, where always the `commonest` training class is named."""
    counts = confusion(truth, np.full_like(truth, commonest), classes)
    right = float(counts.diagonal().sum() / max(1, counts.sum()))
    return {"baseline/accuracy": right, "baseline/macro_f1": macro_f1(counts)}


def report(
    names: Sequence[str], part: str, probabilities: np.ndarray, truth: np.ndarray, commonest: int
) -> list[AnyBlock]:
    """What a classifier shows of a part: figures against always naming the `commonest` training class, a table by
    class, the confusion matrix, and how far its probabilities can be trusted."""
    classes = len(names)
    counts = confusion(truth, probabilities.argmax(1), classes)
    trivial = confusion(truth, np.full_like(truth, commonest), classes)
    found = metrics(part, probabilities, truth)
    precision, recall, f1 = by_class(counts)
    present = counts.sum(1)
    order = sorted(range(classes), key=lambda number: (f1[number], names[number]))[:MAX_ROWS]
    said, was, error = calibration(probabilities, truth)
    blocks: list[AnyBlock] = [
        Figures(
            title=f"On the {part} part ({len(truth):,} items)",
            note=f"The baseline always answers '{names[commonest]}', the commonest class of the training part.",
            figures=[
                Figure(
                    name="Accuracy",
                    value=found[f"{part}/accuracy"],
                    better="higher",
                    baseline=float(trivial.diagonal().sum() / max(1, trivial.sum())),
                ),
                Figure(name="Macro F1", value=found[f"{part}/macro_f1"], baseline=macro_f1(trivial), better="higher"),
                Figure(name="Calibration error", value=error, better="lower"),
            ],
        ),
        Table(
            title=f"By class, {part} part",
            note="The weakest first." + (f" The weakest {MAX_ROWS} of {classes:,}." if classes > MAX_ROWS else ""),
            columns=["Class", "Items", "Precision", "Recall", "F1"],
            rows=[[names[n], int(present[n]), float(precision[n]), float(recall[n]), float(f1[n])] for n in order],
        ),
    ]
    if classes <= MAX_CLASSES:
        blocks.append(
            Matrix(
                title=f"Confusion matrix, {part} part",
                note="Rows: what it is. Columns: what the model said.",
                labels=list(names),
                counts=counts.tolist(),
            )
        )
    blocks.append(
        Lines(
            title=f"Reliability, {part} part",
            note="On the diagonal, what the model calls 80 % sure is right in 80 % of cases. "
            f"Calibration error {error:.3f}.",
            x=[(place + 0.5) / BINS for place in range(BINS)],
            x_label="Confidence",
            y_label="Share that was right",
            lines=[Line(name="Share that was right", values=was, dots=True), Line(name="Mean confidence", values=said)],
            diagonal=True,
        )
    )
    return blocks

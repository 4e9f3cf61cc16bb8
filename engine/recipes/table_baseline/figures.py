"""Figures and pictures of what is said of rows: numbers, or the probabilities of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine import scores
from engine.report import MAX_CLASSES, MAX_ROWS, AnyBlock, Figure, Figures, Line, Lines, Matrix, Table, thin

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
DOTS = 600
GREATER = {"r2", "auc", "average_precision", "accuracy", "macro_f1"}
NAMES = {
    "mae": "Mean absolute error", "rmse": "Root mean squared error", "r2": "R²", "auc": "Area under the ROC curve",
    "average_precision": "Average precision", "accuracy": "Accuracy", "macro_f1": "Macro F1", "log_loss": "Log loss",
    "calibration_error": "Calibration error",
}  # fmt: skip


def of_numbers(said: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Errors in the unit of the target; r2 is left out where the truth does not vary."""
    errors = said - truth
    found = {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean()))}
    spread = float(((truth - truth.mean()) ** 2).sum())
    return found | ({"r2": 1 - float((errors**2).sum()) / spread} if spread else {})


def confidence(probabilities: np.ndarray, named: np.ndarray) -> float:
    """How sure the model was of what it answered, on average."""
    return float(probabilities[np.arange(len(named)), named].mean())


def of_classes(probabilities: np.ndarray, truth: np.ndarray, named: np.ndarray, rare: int) -> dict[str, float]:
    """`named` is the class that is answered for each row. auc and average_precision need two classes in the truth; of
    two they are those of the `rare` one, of more the mean of each class against the others."""
    counts = scores.confusion(truth, named, probabilities.shape[1])
    right = np.clip(probabilities[np.arange(len(truth)), truth], 1e-15, 1)
    found = {
        "accuracy": float(counts.diagonal().sum() / len(truth)),
        "macro_f1": scores.macro_f1(counts),
        "log_loss": float(-np.log(right).mean()),
        "calibration_error": scores.calibration(probabilities, truth)[2],
    }
    present = [number for number in np.unique(truth) if 0 < (truth == number).sum() < len(truth)]
    if probabilities.shape[1] == 2:
        present = [rare] if present else []
    if present:
        pairs = [(probabilities[:, number], truth == number) for number in present]
        found["auc"] = float(np.mean([auc(*pair) for pair in pairs]))
        found["average_precision"] = float(np.mean([average_precision(*pair) for pair in pairs]))
    return found


def auc(said: np.ndarray, truth: np.ndarray) -> float:
    """The share of pairs of a true and an untrue row that are in the right order; ties count half."""
    _, places, counts = np.unique(said, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    true = int(truth.sum())
    return float((ranks[truth].sum() - true * (true + 1) / 2) / (true * (len(truth) - true)))


def average_precision(said: np.ndarray, truth: np.ndarray) -> float:
    """The precision at each threshold, weighted by the recall that it adds."""
    order = np.argsort(-said, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(said[order]) != 0, True)  # rows of one probability are named together
    precision = hits[last] / (np.flatnonzero(last) + 1)
    recall = hits[last] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def best_threshold(said: np.ndarray, truth: np.ndarray) -> float:
    """The threshold of the best F1 of the true rows; 0.5 where none is there."""
    if not truth.any():
        return 0.5
    order = np.argsort(-said, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(said[order]) != 0, True))
    f1 = 2 * hits[last] / (last + 1 + truth.sum())
    place = int(f1.argmax())
    here = said[order][last[place]]
    below = said[order][last[place + 1]] if place + 1 < len(last) else 0.0
    return float(np.clip((here + below) / 2, 1e-6, 1 - 1e-6))


def compared(part: str, rows: int, found: dict[str, float], trivial: dict[str, float], linear: dict[str, float],
             note: str) -> list[AnyBlock]:  # fmt: skip
    """The figures of a part beside the trivial answer, and beside the linear model."""
    figures = [
        Figure(name=NAMES[key], value=value, baseline=trivial.get(key), better="higher" if key in GREATER else "lower")
        for key, value in found.items()
    ]
    table = [[NAMES[key], found[key], linear.get(key), trivial.get(key)] for key in found]
    return [
        Figures(title=f"On the {part} part ({rows:,} rows)", note=note, figures=figures),
        Table(
            title=f"Beside simpler models, {part} part",
            note="The linear model is a ridge or logistic regression on the same columns.",
            columns=["Figure", "This model", "Linear model", "Trivial answer"],
            rows=table,
        ),
    ]


def numbers_drawn(part: str, said: np.ndarray, truth: np.ndarray) -> list[AnyBlock]:
    """What was said over what was true."""
    order = np.argsort(truth, kind="stable")[thin(len(truth), DOTS)]
    return [
        Lines(
            title=f"Predicted over actual, {part} part",
            note=f"Each dot is a row; a perfect model has all dots on the diagonal. {len(order):,} of {len(truth):,}.",
            x=truth[order].tolist(),
            x_label="Actual",
            y_label="Predicted",
            lines=[Line(name="Rows", values=said[order].tolist(), dots=True)],
            diagonal=True,
        )
    ]


def classes_drawn(part: str, names: Sequence[str], probabilities: np.ndarray, truth: np.ndarray, named: np.ndarray,
                  rare: int | None) -> list[AnyBlock]:  # fmt: skip
    """By class, the confusion matrix, thresholds (of two classes, for the `rare` one), and how far probabilities can be
    trusted."""
    counts = scores.confusion(truth, named, len(names))
    precision, recall, f1 = scores.by_class(counts)
    order = sorted(range(len(names)), key=lambda number: (f1[number], names[number]))[:MAX_ROWS]
    present = counts.sum(1)
    rows = [[str(names[n])[:300], int(present[n]), float(precision[n]), float(recall[n]), float(f1[n])] for n in order]
    blocks: list[AnyBlock] = [
        Table(
            title=f"By class, {part} part",
            note="The weakest first.",
            columns=["Class", "Rows", "Precision", "Recall", "F1"],
            rows=rows,
        )
    ]
    if rare is not None:
        blocks.append(_thresholds(part, str(names[rare]), probabilities[:, rare], truth == rare))
    if len(names) <= MAX_CLASSES:
        labels = [str(name)[:300] for name in names]
        note = "Rows: what it is. Columns: what the model said."
        blocks.append(Matrix(title=f"Confusion matrix, {part} part", note=note, labels=labels, counts=counts.tolist()))
    said, was, error = scores.calibration(probabilities, truth)
    blocks.append(
        Lines(
            title=f"Reliability, {part} part",
            note="On the diagonal, what the model calls 80 % sure is right in 80 % of cases. "
            f"Calibration error {error:.3f}.",
            x=[(place + 0.5) / scores.BINS for place in range(scores.BINS)],
            x_label="Confidence",
            y_label="Share that was right",
            lines=[Line(name="Share that was right", values=was, dots=True), Line(name="Mean confidence", values=said)],
            diagonal=True,
        )
    )
    return blocks


def _thresholds(part: str, name: str, said: np.ndarray, truth: np.ndarray) -> Table:
    rows: list[list[float | str | None]] = []
    for threshold in THRESHOLDS:
        alarms = said >= threshold
        hits = int((alarms & truth).sum())
        precision = hits / alarms.sum() if alarms.any() else None
        recall = hits / truth.sum() if truth.any() else None
        rows.append([threshold, int(alarms.sum()), hits, precision, recall])
    return Table(
        title=f"Thresholds for '{name:.60}', {part} part",
        note="What would be named, and how much of it rightly, from which probability on.",
        columns=["Probability from", "Named", "Rightly", "Precision", "Recall"],
        rows=rows,
    )

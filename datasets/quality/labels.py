"""Labels that are probably wrong: what a small model, which never saw the item, is confident of instead.

Each item is judged by a model that learned from the other four fifths (out of fold). An item is suspect when the model
gives another label more than that label's own items get on average (confident learning), and its own label less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FOLDS = 5
FEW = FOLDS  # items of a label below which it is not judged
ENOUGH = 50  # items in all
AT_ONCE = 20_000  # items that one model learns from: bounds memory and time, each part is judged by itself
USEFUL = 0.5  # of the way from guessing to certain: a model below this knows too little to accuse a label
MARGIN = 0.3  # by which the other label must be more probable
DIMENSIONS = 64
WORDS = 1 << 18  # of the hashed vocabulary
FEWEST_PASSES, MOST_PASSES = 3, 12  # over all texts
WORK = 300_000_000  # words times labels that are looked at in all passes: some seconds


@dataclass
class Suspect:
    """A label that the others speak against: which one they speak for, and how probable both are."""

    instead: int
    probability: float
    own: float


@dataclass
class Verdict:
    """Suspects by their place, how many items were judged, and how often the model agreed with the label."""

    suspects: dict[int, Suspect] = field(default_factory=dict)
    judged: int = 0
    agreed: int = 0
    unsure: bool = False  # the labels could not be learned well enough to say anything

    @property
    def agreement(self) -> float:
        return self.agreed / self.judged if self.judged else 0.0


def judge(
    labels: np.ndarray, gather: Callable[[np.ndarray], object], kind: str, beat: Callable[[], None]
) -> Verdict:  # fmt: skip
    """Suspects among items with the labels (numbers, -1 for none).

    `gather` gives what is learned from for an array of places: texts as a list of strings, else a matrix of numbers.
    """
    import numpy as np

    verdict = Verdict()
    counts = np.bincount(labels[labels >= 0]) if (labels >= 0).any() else np.zeros(0, int)
    places = np.flatnonzero((labels >= 0) & np.isin(labels, np.flatnonzero(counts >= FEW)))
    if len(places) < ENOUGH or (counts >= FEW).sum() < 2:
        return verdict
    # The same order each time, and each part a fair sample of all labels.
    places = np.random.default_rng(0).permutation(places)
    for part in np.array_split(places, -(-len(places) // AT_ONCE)):
        kept = part[np.isin(labels[part], np.flatnonzero(np.bincount(labels[part]) >= FEW))]
        if len(kept) >= ENOUGH and len(np.unique(labels[kept])) >= 2:
            _judge_part(verdict, kept, labels[kept], gather(kept), kind, beat)
    return verdict


def _judge_part(
    verdict: Verdict, places: np.ndarray, given: np.ndarray, data: object, kind: str, beat: Callable[[], None]
) -> None:
    import numpy as np

    beat()
    classes, own = np.unique(given, return_inverse=True)
    chances = _out_of_fold(data, own, kind, beat)
    best = chances.argmax(1)
    verdict.judged += len(own)
    verdict.agreed += int((best == own).sum())
    guess = np.bincount(own).max() / len(own)
    balanced = np.mean([(best[own == label] == label).mean() for label in range(len(classes))])
    if balanced - 1 / len(classes) < USEFUL * (1 - 1 / len(classes)) or (best == own).mean() < guess:
        verdict.unsure = True
        return
    usual = np.array([chances[own == label, label].mean() for label in range(len(classes))])
    mine = chances[np.arange(len(own)), own]
    other = np.where(chances >= usual, chances, 0.0)
    other[np.arange(len(own)), own] = 0.0
    instead = other.argmax(1)
    theirs = other[np.arange(len(own)), instead]
    for at in np.flatnonzero((theirs > mine + MARGIN) & (mine < usual[own])).tolist():
        verdict.suspects[int(places[at])] = Suspect(int(classes[instead[at]]), float(theirs[at]), float(mine[at]))


def _out_of_fold(data: object, own: np.ndarray, kind: str, beat: Callable[[], None]) -> np.ndarray:
    """How probable each label is for each item, by a model that did not see the item: rows sum to 1."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    class _Beating(StratifiedKFold):
        def split(self, *arguments: object, **named: object) -> object:
            for fold in super().split(*arguments, **named):
                beat()
                yield fold

    model, ready = _for_text(data, own.max() + 1) if kind == "text" else _for_numbers(np.asarray(data, np.float32))
    folds = _Beating(FOLDS, shuffle=True, random_state=0)
    return cross_val_predict(model, ready, own, cv=folds, method="predict_proba")


def _for_text(texts: object, labels: int) -> tuple[object, object]:
    """Weights of words and pairs of words, and a linear model of them."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    words = HashingVectorizer(n_features=WORDS, ngram_range=(1, 2), alternate_sign=False, norm=None)
    ready = words.transform(texts)
    passes = max(FEWEST_PASSES, min(MOST_PASSES, WORK // max(1, ready.nnz * labels * FOLDS)))
    linear = SGDClassifier(loss="log_loss", alpha=2e-6, max_iter=passes, tol=None, random_state=0)
    return make_pipeline(TfidfTransformer(sublinear_tf=True), linear), ready


def _for_numbers(rows: np.ndarray) -> tuple[object, object]:
    """Standardised, reduced to 64 directions, and a model of smooth borders between them."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    most = min(DIMENSIONS, rows.shape[1], max(2, len(rows) * (FOLDS - 1) // FOLDS - 1))
    reduce = PCA(most, svd_solver="randomized", random_state=0, whiten=True)
    return make_pipeline(StandardScaler(), reduce, LogisticRegression(C=0.05, max_iter=200)), rows

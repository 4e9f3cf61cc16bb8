"""What can be said of a classifier before anybody knows the truth: from how sure it is.

A model that is well calibrated is right as often as its mean confidence says. Most are too sure by about as much on new
data as they were on the validation part, so that difference is taken off (the "difference of confidences", Guillory
et al., 2021). Where the validation confidence is not known the mean confidence stands as it is, and is called so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.catalogue import RECIPES

NAMES_CLASSES = ("labels", "values")  # outputs whose score is how sure the model is, where there is a class


def can_be_estimated(recipe: str) -> bool:
    """Whether the recipe's answers say how sure they are of a class."""
    return recipe in RECIPES and RECIPES[recipe].output in NAMES_CLASSES


def calibrated(metrics: Mapping[str, Any]) -> bool:
    """Whether it is known how sure the version was where the truth is known."""
    return _known(metrics) is not None


def accuracy(confidence: float, metrics: Mapping[str, Any]) -> float:
    """The accuracy to expect of predictions with this mean confidence, from 0 to 1."""
    too_sure = _known(metrics) or 0.0
    return min(1.0, max(0.0, confidence - too_sure))


def _known(metrics: Mapping[str, Any]) -> float | None:
    """By how much the version was too sure on data that it did not learn from; None when that is not known."""
    for part in ("test", "validation"):
        sure, right = metrics.get(f"{part}/confidence"), metrics.get(f"{part}/accuracy")
        if isinstance(sure, int | float) and isinstance(right, int | float):
            return float(sure) - float(right)
    return None

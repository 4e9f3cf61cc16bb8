"""A trained model of a table as a network that takes numbers and codes of categories, for use without TrainHub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from engine.export import Network
from engine.onnxtrees import Ensemble, Trees, add_lightgbm
from engine.recipes.table_baseline.encoding import LIMIT, ONE_HOT, Encoder, Feature
from engine.recipes.table_baseline.model import Answers
from engine.recipes.table_baseline.predictor import TableBaselinePredictor

ROWS = (1, 64)
PREPARING = [
    "'features' has a column for each entry of the list 'features' here, in its order, as float64. What is missing, or "
    "a category that is not listed, is NaN.",
    "number: the value; of yes and no 1 and 0.",
    "category: the place of the text in its 'categories', from 0 on.",
    "day: whole days since 1970-01-01. month: 1 to 12. weekday: 0 (Monday) to 6. hour: 0 to 24, with its fraction.",
]


class FromFeatures(nn.Module):
    """(rows, features) float64 → values (rows,), or probabilities (rows, classes)."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers
        self.outputs = answers.shape.outputs
        self.trees = Trees(self.outputs * max(1, len(answers.texts)))
        for number, text in enumerate(answers.texts):
            add_lightgbm(self.trees, text, number * self.outputs, self.outputs)
        starts = np.array(answers.starts, dtype=np.float64).reshape(-1, self.outputs)
        self.register_buffer("starts", torch.from_numpy(starts))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        scores = self._scores(features)  # (rows, models, outputs)
        answers = self.answers
        if not answers.classification:
            return scores[:, :, 0].mean(1) * answers.deviation + answers.mean
        if answers.classes == 2:
            one = torch.sigmoid(scores[:, :, 0])
            return torch.stack([1 - one, one], 2).mean(1)
        return torch.softmax(scores, 2).mean(1)

    def _scores(self, features: torch.Tensor) -> torch.Tensor:
        if not self.answers.texts:
            linear = self.answers.linear
            return (_straight(self.answers.encoder, features) @ linear.weight + linear.bias)[:, None]
        if not self.trees.trees:  # nothing was learned beyond where trees begin
            return (features[:, :1] * 0).nan_to_num()[:, :, None] + self.starts[None]
        sums = Ensemble.apply(features, self.trees).double()
        return sums.reshape(-1, len(self.starts), self.outputs) + self.starts


def network(folder: Path) -> Network:
    """The network of an artifact folder; EngineError when its files can't be used."""
    made = TableBaselinePredictor.load(folder)
    answers, encoder = made.answers, made.encoder
    facts: dict[str, Any] = {
        "inputs": [{"name": "features", "shape": ["rows", len(encoder.features)], "type": "float64"}],
        "features": [_described(feature, encoder.kinds[feature.column]) for feature in encoder.features],
        "preparing": PREPARING,
    }
    if answers.classification:
        facts["outputs"] = [{"name": "probabilities", "shape": ["rows", answers.classes], "type": "float64"}]
        facts["classes"] = made.classes
        facts["answer"] = _rule(made)
    else:
        facts["outputs"] = [{"name": "value", "shape": ["rows"], "type": "float64"}]

    def own(features: torch.Tensor) -> Sequence[Any]:
        x = features.numpy()
        return [answers.probabilities(x) if answers.classification else answers.values(x)]

    unit = 1.0 if answers.classification else answers.deviation or 1.0
    example = _Rows(encoder)
    module = FromFeatures(answers).eval()
    return Network(module, example, facts, own, lambda *given: unit, sizes=ROWS, trees=module.trees.trees > 0)


class _Rows:
    """Makes rows like those that were learned from, each column with gaps."""

    def __init__(self, encoder: Encoder) -> None:
        self.features = encoder.features

    def __call__(self, rows: int) -> tuple[torch.Tensor]:
        return (torch.stack([self._column(feature, rows) for feature in self.features], 1),)

    @staticmethod
    def _column(feature: Feature, rows: int) -> torch.Tensor:
        if feature.categories is not None:
            values = torch.randint(0, len(feature.categories), (rows,)).double()
        else:
            values = feature.mean + 2 * feature.deviation * torch.randn(rows, dtype=torch.float64)
        return torch.where(torch.rand(rows) < 0.1, torch.nan, values)


def _described(feature: Feature, kind: str) -> dict[str, Any]:
    what = feature.part or ("category" if feature.categories is not None else "number")
    about: dict[str, Any] = {"column": feature.column, "kind": kind, "is": what}
    return about | ({"categories": feature.categories} if feature.categories is not None else {})


def _rule(made: TableBaselinePredictor) -> dict[str, Any]:
    """How a class is named by its probability."""
    if made.answers.classes != 2:
        return {"rule": "the likeliest class"}
    rare = made.answers.rare
    return {
        "rule": "'class' from the probability 'from' on, otherwise the other one",
        "class": made.classes[rare], "from": made.answers.threshold,
    }  # fmt: skip


def _straight(encoder: Encoder, matrix: torch.Tensor) -> torch.Tensor:
    """`Encoder.straight`, as a part of the network."""
    made: list[torch.Tensor] = []
    for place, feature in enumerate(encoder.features):
        values = matrix[:, place : place + 1]
        if feature.categories is not None:
            codes = torch.arange(min(ONE_HOT, len(feature.categories)), dtype=torch.float64)
            made.append((values == codes).double())
            continue
        there = torch.where(torch.isnan(values), feature.fill, values)
        made.append(((there - feature.mean) / feature.deviation).clamp(-LIMIT, LIMIT))
        if feature.misses:
            made.append(torch.isnan(values).double())
    return torch.cat(made, 1)

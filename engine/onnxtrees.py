"""Trees as one operation of ONNX (TreeEnsembleRegressor), whatever they were grown by."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch

from engine.protocol import EngineError, FailureCode

_CATEGORICAL, _DEFAULT_LEFT = 1, 2  # bits of LightGBM's decision_type; the two above say what counts as missing
_ZERO_MISSING, _NAN_MISSING = 1, 2
_NOWHERE = -1.0  # the code of no category
_NAMES = ("split_feature", "decision_type", "left_child", "right_child")


@dataclass
class Trees:
    """Nodes of all trees one behind the other; a sum of leaves for each of `outputs`. Features are float64."""

    outputs: int
    trees: int = 0
    nodes: dict[str, list[Any]] = field(
        default_factory=lambda: {
            name: [] for name in ("treeids", "nodeids", "featureids", "modes", "truenodeids", "falsenodeids", "nan")
        }
    )
    values: list[float] = field(default_factory=list)
    leaves: list[tuple[int, int, int, float]] = field(default_factory=list)  # tree, node, output, value

    def node(self, number: int, feature: int, mode: str, value: float, yes: int, no: int, nan: bool = False) -> None:
        """A node of the present tree; `nan`: a missing value goes where `yes` goes."""
        row = (self.trees, number, feature, mode, yes, no, int(nan))
        for values, one in zip(self.nodes.values(), row, strict=True):
            values.append(one)
        self.values.append(value)

    def leaf(self, number: int, output: int, value: float) -> None:
        """An end of the present tree."""
        self.node(number, 0, "LEAF", 0.0, 0, 0)
        self.leaves.append((self.trees, number, output, value))

    def end(self) -> None:
        """What comes next belongs to another tree."""
        self.trees += 1

    def attributes(self) -> dict[str, Any]:
        """As the operation is given them. Thresholds and leaves are float64: a number on the edge falls as it did."""
        trees, nodes, outputs, weights = zip(*self.leaves, strict=True)
        named = {f"nodes_{name}_i": values for name, values in self.nodes.items() if name not in ("modes", "nan")}
        return named | {
            "nodes_modes_s": self.nodes["modes"], "nodes_missing_value_tracks_true_i": self.nodes["nan"],
            "nodes_values_as_tensor_t": torch.tensor(self.values, dtype=torch.float64),
            "target_treeids_i": trees, "target_nodeids_i": nodes, "target_ids_i": outputs,
            "target_weights_as_tensor_t": torch.tensor(weights, dtype=torch.float64),
            "n_targets_i": self.outputs, "post_transform_s": "NONE", "aggregate_function_s": "SUM",
        }  # fmt: skip


class Ensemble(torch.autograd.Function):
    """(rows, features) float64 → (rows, outputs) float32. Only to be exported: torch itself has no such operation, so
    here the sums are zeros."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, trees: Trees) -> torch.Tensor:
        return x.new_zeros(len(x), trees.outputs, dtype=torch.float32)

    @staticmethod
    def symbolic(g: Any, x: Any, trees: Trees) -> Any:
        made = g.op("ai.onnx.ml::TreeEnsembleRegressor", x, **trees.attributes())
        made.setType(x.type().with_dtype(torch.float32).with_sizes([None, trees.outputs]))
        return made


def add_lightgbm(trees: Trees, text: str, first: int, outputs: int) -> None:
    """Add a model in LightGBM's text format, whose trees belong by turns to `outputs` sums from `first` on."""
    for number, part in enumerate(text.partition("end of trees")[0].split("\nTree=")[1:]):
        facts = dict(line.split("=", 1) for line in part.splitlines()[1:] if "=" in line)
        _add_tree(trees, facts, first + number % outputs)


def add_forest(trees: Trees, forest: list[dict[str, np.ndarray]]) -> None:
    """Add an isolation forest's trees: the sum of the lengths of their paths."""
    for tree in forest:
        for number, feature in enumerate(tree["feature"].tolist()):
            if feature < 0:
                trees.leaf(number, 0, float(tree["path"][number]))
            else:
                yes, no = int(tree["left"][number]), int(tree["right"][number])
                trees.node(number, feature, "BRANCH_LEQ", float(tree["threshold"][number]), yes, no)
        trees.end()


def _add_tree(trees: Trees, facts: dict[str, str], output: int) -> None:
    """One tree. A set of categories takes a node for each of them, so nodes move up; leaves come last."""
    features, kinds, left, right = ([int(one) for one in facts.get(name, "").split()] for name in _NAMES)
    thresholds = [float(value) for value in facts.get("threshold", "").split()]
    sets = _sets(facts)
    chains = [sets[int(t)] if kind & _CATEGORICAL else None for t, kind in zip(thresholds, kinds, strict=True)]
    begins = [0, *accumulate(1 if chain is None else len(chain) for chain in chains)]

    def place(child: int) -> int:
        return begins[child] if child >= 0 else begins[-1] + ~child  # LightGBM writes a leaf as ~number

    for node, chain in enumerate(chains):
        at, feature, yes, no = begins[node], features[node], place(left[node]), place(right[node])
        if chain is None:
            nan = _missing_goes_left(kinds[node], thresholds[node])
            trees.node(at, feature, "BRANCH_LEQ", thresholds[node], yes, no, nan)
            continue
        for code in chain:
            at += 1
            trees.node(at - 1, feature, "BRANCH_EQ", code, yes, at if at < begins[node + 1] else no)
    for number, value in enumerate(facts["leaf_value"].split()):
        trees.leaf(begins[-1] + number, output, float(value))
    trees.end()


def _missing_goes_left(kind: int, threshold: float) -> bool:
    """Where no value was missing when the tree grew, a missing one counts as 0."""
    missing = kind >> 2 & 3
    if missing == _ZERO_MISSING:
        raise EngineError(
            FailureCode.BAD_CONFIG, "Trees that take 0 for a missing value can't be exported.", "Export it as a folder."
        )
    return bool(kind & _DEFAULT_LEFT) if missing == _NAN_MISSING else threshold >= 0


def _sets(facts: dict[str, str]) -> list[list[float]]:
    """The codes of the categories that go left, set by set; they are bits of 32-bit words."""
    ends = [int(value) for value in facts.get("cat_boundaries", "").split()]
    words = [int(value) for value in facts.get("cat_threshold", "").split()]
    return [
        [
            float(32 * place + bit)
            for place, word in enumerate(words[first:after])
            for bit in range(32)
            if word >> bit & 1
        ]
        or [_NOWHERE]
        for first, after in pairwise(ends)
    ]

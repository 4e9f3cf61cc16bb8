"""An isolation forest as arrays: grown by scikit-learn, kept and asked without it."""

from __future__ import annotations

import numpy as np

SAMPLE = 256


def grow(x: np.ndarray, trees: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Trees on (rows, features): for each node its feature (-1: a leaf), threshold, children, and the length of the
    path to it, with what a leaf of several rows would add."""
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=trees, max_samples=min(SAMPLE, len(x)), random_state=seed % 2**31)
    forest.fit(x.astype("float32"))
    return [_arrays(tree.tree_) for tree in forest.estimators_]


def scores(trees: list[dict[str, np.ndarray]], x: np.ndarray, sample: int) -> np.ndarray:
    """(rows,) from 0 to 1: how easily a row is told from the others; `sample` rows made each tree."""
    x = x.astype("float32")
    rows = np.arange(len(x))
    depth = np.zeros(len(x))
    for tree in trees:
        nodes = np.zeros(len(x), dtype=np.int64)
        while (inner := tree["feature"][nodes] >= 0).any():
            value = x[rows, np.maximum(tree["feature"][nodes], 0)]
            step = np.where(value <= tree["threshold"][nodes], tree["left"][nodes], tree["right"][nodes])
            nodes = np.where(inner, step, nodes)
        depth += tree["path"][nodes]
    return 2.0 ** (-depth / max(1, len(trees)) / max(usual_path(np.array([sample]))[0], 1e-9))


def usual_path(rows: np.ndarray) -> np.ndarray:
    """The mean length of a path in a random tree of so many rows (Liu, Ting and Zhou, 2008)."""
    many = np.maximum(rows, 3).astype(float)
    found = 2 * (np.log(many - 1) + np.euler_gamma) - 2 * (many - 1) / many
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, found))


def _arrays(tree: object) -> dict[str, np.ndarray]:
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    depth = np.zeros(len(left))
    for node in range(len(left)):  # parents stand before their children
        if left[node] >= 0:
            depth[left[node]] = depth[right[node]] = depth[node] + 1
    leaf = left < 0
    path = depth + np.where(leaf, usual_path(tree.n_node_samples), 0.0)  # type: ignore[attr-defined]
    feature = np.where(leaf, -1, tree.feature)  # type: ignore[attr-defined]
    return {
        "feature": feature.astype(np.int64), "threshold": tree.threshold.astype(np.float64),  # type: ignore[attr-defined]
        "left": left.astype(np.int64), "right": right.astype(np.int64), "path": path,
    }  # fmt: skip

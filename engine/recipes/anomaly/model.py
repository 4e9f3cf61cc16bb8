"""What scores rows: distances from the past, and a forest's arrays; the same in training and afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from engine.recipes.anomaly import forest, scoring

ARRAYS = ("feature", "threshold", "left", "right", "path")


@dataclass
class Scorer:
    """Columns' medians and deviations in the training part, and the trees so far; `sample` rows made each tree."""

    by_time: bool
    window: int
    season: int
    medians: np.ndarray
    deviations: np.ndarray
    sample: int = forest.SAMPLE
    trees: list[dict[str, np.ndarray]] = field(default_factory=list)

    @property
    def candidates(self) -> list[str]:
        """Ways to score, the simplest first."""
        if not self.by_time:
            return ["together", "forest"]
        return ["level", *(["season"] if self.season > 1 else []), "changes", "together", "forest"]

    def distances(self, values: np.ndarray) -> np.ndarray:
        """(rows, distances) of (rows, columns) values in order of time."""
        if self.by_time:
            return scoring.features(values, self.deviations, self.window, self.season)
        return scoring.of_rows(values, self.medians, self.deviations)

    def scores(self, name: str, distances: np.ndarray) -> np.ndarray:
        """(rows,) of a candidate."""
        if name == "forest":
            return forest.scores(self.trees, distances, self.sample)
        return scoring.combined(name, distances, self.by_time)


class Arrays(nn.Module):
    """Arrays as a module, so that they are kept as weights are: trees one behind the other, with their sizes."""

    def __init__(self, trees: list[dict[str, np.ndarray]], more: dict[str, np.ndarray]) -> None:
        super().__init__()
        sizes = np.array([len(tree["feature"]) for tree in trees], dtype=np.int64)
        self.register_buffer("sizes", torch.from_numpy(sizes))
        for name in ARRAYS:
            whole = np.concatenate([tree[name] for tree in trees]) if trees else np.zeros(0)
            self.register_buffer(name, torch.from_numpy(whole))
        for name, values in more.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)))


def trees_of(arrays: dict[str, torch.Tensor]) -> list[dict[str, np.ndarray]]:
    """The trees of such arrays."""
    ends = np.cumsum(arrays["sizes"].numpy())
    starts = ends - arrays["sizes"].numpy()
    return [
        {name: arrays[name].numpy()[first:after] for name in ARRAYS} for first, after in zip(starts, ends, strict=True)
    ]

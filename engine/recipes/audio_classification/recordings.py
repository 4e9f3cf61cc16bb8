"""The recordings of a dataset version, decoded once, end to end in one row of samples."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import sounds
from engine.data import Dataset, Item
from engine.decoding import IN_MEMORY_BYTES, in_threads
from engine.media import guarded

KEPT_SECONDS = 60.0  # of a recording
PROBED = 200  # recordings that are looked at to choose the rate
MOST_SECONDS = 5.0  # heard at once, unless the configuration says more
MOST_RATE = 16_000


@dataclass(frozen=True)
class Recordings:
    """Some recordings: `wave` (samples,) int16 holds all of a part, `begins` and `lengths` (items,) say where in it."""

    wave: torch.Tensor
    begins: torch.Tensor
    lengths: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.begins.device

    def __getitem__(self, chosen: torch.Tensor | slice) -> Recordings:
        return Recordings(self.wave, self.begins[chosen], self.lengths[chosen])

    def __len__(self) -> int:
        return len(self.begins)

    def to(self, device: torch.device) -> Recordings:
        return Recordings(self.wave.to(device), self.begins.to(device), self.lengths.to(device))

    def silent(self) -> int:
        """How many hold nothing but silence."""
        ends = (self.begins + self.lengths).tolist()
        return sum(not self.wave[begin:end].any().item() for begin, end in zip(self.begins.tolist(), ends, strict=True))

    def heard(self, starts: torch.Tensor, samples: int, speeds: torch.Tensor | None = None) -> torch.Tensor:
        """Waves (items, samples), floats from -1 to 1, from `starts` on; silence before a recording and after it.
        `speeds` (items,): how many samples are taken for one, which changes speed and pitch together."""
        steps = torch.arange(samples, device=self.device)
        if speeds is None:
            places = starts.long()[:, None] + steps
            return self._at(places)
        exact = starts[:, None] + steps * speeds[:, None]
        places = exact.floor()
        part = exact - places
        places = places.long()
        return torch.lerp(self._at(places), self._at(places + 1), part)

    def _at(self, places: torch.Tensor) -> torch.Tensor:
        lengths = self.lengths[:, None]
        inside = (places >= 0) & (places < lengths)
        places = torch.minimum(places.clamp(min=0), lengths - 1) + self.begins[:, None]
        found = self.wave[places.to(self.wave.device)].to(self.device)
        return found.float().mul_(1 / 32768).mul_(inside)


def in_a_row(waves: list[np.ndarray]) -> Recordings:
    """Waves (samples,) int16, as they are kept."""
    lengths = torch.tensor([len(wave) for wave in waves], dtype=torch.long)
    return Recordings(torch.from_numpy(np.concatenate(waves)), lengths.cumsum(0) - lengths, lengths)


def choose_rate(dataset: Dataset, items: list[Item], configured: int | str) -> int:
    """Samples per second: as configured, or the commonest of the recordings, at most 16,000."""
    if isinstance(configured, int):
        return configured
    some = items[:: max(1, len(items) // PROBED)]
    rates = in_threads(lambda item: guarded(item, lambda data: sounds.look(data).rate, dataset), some)
    return min(MOST_RATE, Counter(rates).most_common(1)[0][0])


def choose_samples(lengths: torch.Tensor, rate: int, configured: float | str) -> int:
    """Samples heard at once: as configured, or enough for 95 of 100 recordings, at most 5 seconds."""
    if not isinstance(configured, str):
        return max(1, round(configured * rate))
    wanted = torch.quantile(lengths[:100_000].double(), 0.95).item()
    return int(min(max(wanted, 0.2 * rate), MOST_SECONDS * rate))


def load_part(
    dataset: Dataset, items: list[Item], rate: int, scratch: Path, breathe: Callable[[], None]
) -> tuple[Recordings, int]:
    """All recordings of a part, and how many of them are longer than what is kept. EngineError BAD_DATA names the first
    that can't be decoded."""
    row = _Row(scratch)
    waves = in_threads(lambda item: guarded(item, lambda data: sounds.decode(data, rate, KEPT_SECONDS), dataset), items)
    for index, wave in enumerate(waves):
        row.add(wave)
        if index % 64 == 0:
            breathe()
    lengths = torch.tensor(row.lengths, dtype=torch.long)
    begins = lengths.cumsum(0) - lengths
    return Recordings(row.whole(), begins, lengths), int((lengths >= int(KEPT_SECONDS * rate)).sum())


class _Row:
    """Waves in a row, in memory, or, when they are many, in a file without a name: it can't outlive the run."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.lengths: list[int] = []
        self.pieces: list[np.ndarray] = []
        self.bytes = 0
        self.file: Any = None

    def add(self, wave: np.ndarray) -> None:
        self.lengths.append(len(wave))
        self.pieces.append(wave)
        self.bytes += wave.nbytes
        if self.file is not None or self.bytes > IN_MEMORY_BYTES:
            self._spill()

    def whole(self) -> torch.Tensor:
        """All of them, int16."""
        if self.file is None:
            return torch.from_numpy(np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.int16))
        self.file.flush()
        return torch.from_numpy(np.memmap(self.file, dtype=np.int16, mode="r+"))

    def _spill(self) -> None:
        if self.file is None:
            self.file = tempfile.TemporaryFile(dir=self.scratch)  # noqa: SIM115 it lives as long as its map
        for piece in self.pieces:
            self.file.write(piece.tobytes())
        self.pieces = []

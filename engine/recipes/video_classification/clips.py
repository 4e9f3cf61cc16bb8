"""The videos of a dataset version: a few small frames of each, decoded once, as one array per part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from engine import films
from engine.data import Dataset, Item
from engine.decoding import in_threads, room
from engine.media import guarded

KEPT = 2  # frames that are kept for each that is looked at, so that training sees other ones each time


def load_part(
    dataset: Dataset, items: list[Item], frames: int, size: int, scratch: Path, breathe: Callable[[], None]
) -> torch.Tensor:
    """Frames of all videos of a part, uint8 of shape (items, frames * KEPT, 3, size, size). EngineError BAD_DATA names
    the first that can't be decoded."""
    clips = room((len(items), frames * KEPT, 3, size, size), scratch)
    decoded = in_threads(
        lambda item: guarded(item, lambda data: films.decode(data, frames * KEPT, size), dataset), items
    )
    for index, clip in enumerate(decoded):
        clips[index] = clip
        breathe()
    return torch.from_numpy(clips)


def even(clips: torch.Tensor) -> torch.Tensor:
    """Every `KEPT`th frame, (items, frames, …)."""
    return clips[:, KEPT // 2 :: KEPT]


def drawn(clips: torch.Tensor, dice: torch.Tensor) -> torch.Tensor:
    """A frame of each stretch of `KEPT`, (items, frames, …), by `dice` (items, frames), numbers from 0 to 1 (Wang et
    al., 2016: temporal segment networks)."""
    frames = clips.shape[1] // KEPT
    places = torch.arange(frames, device=dice.device) * KEPT + (dice * KEPT).long()
    return clips[torch.arange(len(clips), device=clips.device)[:, None], places.to(clips.device)]

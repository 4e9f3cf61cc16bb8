"""Random changes of training images, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Strength:
    """How far images are changed; each is drawn evenly from plus or minus this much."""

    shift: float  # share of the picture's side
    degrees: float
    scale: float
    light: float = 0.0  # brightness and contrast, in standard deviations
    covered: float = 0.0  # side of a covered square, as a share of the picture's side


STRENGTHS = {
    "none": None,
    # Small enough that a 6 stays a 6 and a 1 stays a 1.
    "light": Strength(shift=0.08, degrees=10, scale=0.1),
    "strong": Strength(shift=0.15, degrees=20, scale=0.25, light=0.4, covered=0.3),
}


def augment(
    batch: torch.Tensor, strength: Strength | None, flip: bool, generator: torch.Generator, share: slice, whole: int
) -> torch.Tensor:
    """Change normalised images (batch, channels, side, side). All chance comes from `generator` (on the
    CPU), so a batch is a function of its seed on every device. The images are this share of a batch of `whole`
    images, and are changed as they would be in it."""
    if strength is None and not flip:
        return batch
    strength = strength or Strength(0, 0, 0)
    count = len(batch)
    # One draw for everything: (9, batch) numbers between -1 and 1.
    dice = torch.rand(9, whole, generator=generator)[:, share].mul_(2).sub_(1).to(batch.device)
    batch = _move(batch, strength, flip, dice)
    if strength.light:
        contrast = (1 + strength.light * dice[4]).view(count, 1, 1, 1)
        batch = batch * contrast + (strength.light * dice[5]).view(count, 1, 1, 1)
    if strength.covered:
        batch = _cover(batch, strength.covered, dice[6], dice[7])
    return batch


def _move(batch: torch.Tensor, strength: Strength, flip: bool, dice: torch.Tensor) -> torch.Tensor:
    angle = math.radians(strength.degrees) * dice[0]
    scale = 1 + strength.scale * dice[1]
    mirror = torch.where(dice[8] > 0, -1.0, 1.0) if flip else torch.ones_like(scale)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    shift = 2 * strength.shift
    rows = [cos * mirror, -sin, shift * dice[2], sin * mirror, cos, shift * dice[3]]
    matrices = torch.stack(rows, dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrices, list(batch.shape), align_corners=False)
    return F.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _cover(batch: torch.Tensor, share: float, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cover a square around (x, y), both from -1 to 1, with the mean colour, which is 0."""
    places = torch.linspace(-1, 1, batch.shape[-1], device=batch.device)
    columns = (places - x[:, None]).abs() < share
    rows = (places - y[:, None]).abs() < share
    hidden = rows[:, None, :, None] & columns[:, None, None, :]
    return batch.masked_fill(hidden, 0.0)

"""Random changes of recordings, for a whole batch at once: of the wave, then of its spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.recipes.audio_classification.recordings import Recordings
from engine.recipes.audio_classification.spectra import Spectra

WARPS = 15  # banks that are made, evenly from the strongest warp to the other


@dataclass(frozen=True)
class Strength:
    """How far recordings are changed; each is drawn evenly from plus or minus this much."""

    speed: float  # speed and pitch together, as a share
    warp: float  # of the frequencies alone, as a share: a longer or shorter vocal tract
    tilt: float  # loudness of high bands against low ones, and of the middle, as a logarithm
    noise: float  # share of recordings that get noise
    covered: float  # widest covered stretch of time and of bands, as a share


STRENGTHS = {
    "none": Strength(0, 0, 0, 0, 0),
    "light": Strength(speed=0.05, warp=0.05, tilt=0.3, noise=0.3, covered=0.1),
    "strong": Strength(speed=0.12, warp=0.12, tilt=1.0, noise=0.5, covered=0.2),
}
QUIETEST, LOUDEST = -8.0, -4.0  # of noise against the loudest band, as a logarithm (base e) of energy


def warps(strength: Strength) -> list[float]:
    """The factors of frequency that a bank is needed for; the first is 1."""
    if not strength.warp:
        return [1.0]
    spread = torch.linspace(1 - strength.warp, 1 + strength.warp, WARPS).tolist()
    return [1.0, *spread]


def changed(
    batch: Recordings, spectra: Spectra, strength: Strength, generator: torch.Generator, share: slice, whole: int
) -> torch.Tensor:
    """Normalised spectra (batch, 1, mels, frames) of changed recordings. All chance comes from `generator` (on the
    CPU), so a batch is a function of its seed on every device. The recordings are this share of a batch of `whole`."""
    device, samples = batch.device, spectra.sizes.samples
    # One draw for everything: (12, batch) numbers between 0 and 1.
    dice = torch.rand(12, whole, generator=generator)[:, share].to(device)
    speeds = 1 + strength.speed * (2 * dice[0] - 1)
    # Where a recording is longer than what is heard, any stretch of it; where it is shorter, silence on both sides.
    starts = dice[1] * (batch.lengths - speeds * samples)
    waves = batch.heard(starts, samples, speeds if strength.speed else None)
    with torch.autocast(device.type, enabled=False):
        banks = (1 + dice[2] * (spectra.banks.shape[0] - 1)).long() if strength.warp else None
        power = spectra.power(waves, banks)
        if strength.noise:
            noise = torch.rand(whole, *power.shape[1:], generator=generator)[share].to(device)
            power = power + _noise(power, noise, strength.noise, dice[3], dice[4])
        if strength.tilt:
            power = power * _tilt(power.shape[1], strength.tilt, dice[5], dice[6])
        found = spectra.levels(power)
    if strength.covered:
        for number, axis in enumerate((2, 2, 3)):
            found = _cover(found, axis, strength.covered, dice[7 + number], dice[(8 + number) if number < 2 else 11])
    return found


def _noise(
    power: torch.Tensor, noise: torch.Tensor, often: float, level: torch.Tensor, whether: torch.Tensor
) -> torch.Tensor:
    """Hiss in all bands, between barely and clearly heard; energies of noise are spread exponentially."""
    loudness = power.amax(dim=(1, 2)) * (QUIETEST + level * (LOUDEST - QUIETEST)).exp() * (whether < often)
    return loudness[:, None, None] * -torch.log1p(-noise)


def _tilt(mels: int, strength: float, slope: torch.Tensor, bend: torch.Tensor) -> torch.Tensor:
    """Factors of energy, (batch, mels, 1): as another microphone or room would have."""
    places = torch.linspace(-1, 1, mels, device=slope.device)
    curve = (2 * slope - 1)[:, None] * places + (2 * bend - 1)[:, None] * (places.square() - 0.5)
    return (strength * curve).exp()[:, :, None]


def _cover(found: torch.Tensor, axis: int, widest: float, middle: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Cover a stretch of bands (axis 2) or of time (axis 3) with the mean, which is 0 (Park et al., 2019)."""
    places = torch.linspace(0, 1, found.shape[axis], device=found.device)
    hidden = (places - middle[:, None]).abs() < widest / 2 * width[:, None]
    return found.masked_fill(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :], 0.0)

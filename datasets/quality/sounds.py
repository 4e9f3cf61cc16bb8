"""Measuring recordings: length, loudness, clipping, and what is compared with others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from datasets.models import Item
from datasets.quality.found import Found
from datasets.quality.opened import DamagedError, opened
from datasets.quality.profile import Profile

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
UNREADABLE = (DamagedError, OSError, ValueError, IndexError)  # PyAV's errors are among these
RATE = 8000  # Hz at which recordings are compared
WINDOW, HOP = 256, 128  # samples at that rate
BANDS = 32  # on the mel scale
CEPSTRA = 13
COMPARED_SECONDS = 120  # of the beginning
TIMES = 32  # into which a recording's length is cut for comparing
FULL = 0.999  # of the loudest value there is
SILENT = 1e-3  # -60 dB
# The kept value: a hash of 64 bits, one of 992, cepstra: their means and spreads, and their course in 16 steps.
HASH = slice(0, 8)
BITS = slice(8, 8 + BANDS * (TIMES - 1) // 8)
CEPSTRUM = slice(8 + BANDS * (TIMES - 1) // 8, None)


def measure(item: Item, beat: Callable[[], None]) -> tuple[dict[str, Any], bytes]:
    """Facts about a recording, and its spectral fingerprint."""
    import av
    import numpy as np

    digest = hashlib.blake2b(digest_size=16)
    peak = power = 0.0
    samples = full = 0
    kept: list[np.ndarray] = []
    with opened(item, beat) as file, av.open(file) as container:
        stream = container.streams.audio[0]
        rate, channels = stream.rate, stream.channels
        for frame in container.decode(stream):
            beat()
            waves = _waves(frame)
            mono = waves.mean(0)
            loud = np.abs(waves).max(0)
            digest.update(np.round(mono * 32767).astype(np.int16).tobytes())
            samples += len(mono)
            peak = max(peak, float(loud.max(initial=0)))
            power += float(np.square(mono, dtype=np.float64).sum())
            full += int((loud >= FULL).sum())
            if samples <= COMPARED_SECONDS * rate:
                kept.append(mono)
    if not samples:
        raise ValueError("no samples")
    facts = {
        "normal": digest.hexdigest(), "seconds": round(samples / rate, 3), "sample_rate": rate, "channels": channels,
        "peak": round(peak, 4), "level": round(float(np.sqrt(power / samples)), 6), "full": round(full / samples, 6),
    }  # fmt: skip
    return facts, fingerprint(_slowed(np.concatenate(kept or [np.zeros(WINDOW, np.float32)]), rate))


def fingerprint(wave: np.ndarray) -> bytes:
    """The kept value of a recording: mono float32 at 8 kHz."""
    import numpy as np
    from scipy.fft import dct, dctn

    energy = np.log(mel(wave) + 1e-6)
    course = _stretched(energy, TIMES)
    rising = (np.diff(course, axis=0) > 0).ravel()
    low = dctn(course)[:8, :8].ravel()
    cepstra = dct(energy, axis=1, norm="ortho")[:, :CEPSTRA]
    path = _stretched(cepstra, 16)
    numbers = np.concatenate([cepstra.mean(0), cepstra.std(0), path.ravel()]).astype(np.float16)
    return np.packbits(low > np.median(low)).tobytes() + np.packbits(rising).tobytes() + numbers.tobytes()


def mel(wave: np.ndarray) -> np.ndarray:
    """Energy in each of 32 mel bands, a row each 16 ms."""
    import numpy as np

    if len(wave) < WINDOW:
        wave = np.pad(wave, (0, WINDOW - len(wave)))
    windows = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    spectrum = np.abs(np.fft.rfft(windows * np.hanning(WINDOW).astype(np.float32), axis=1)) ** 2
    return spectrum @ _bands(spectrum.shape[1]).T


def judge(facts: dict[str, Any], profile: Profile) -> Iterator[Found]:
    """What is wrong with one recording, given what the dataset's recordings are like."""
    if facts["level"] < SILENT:
        yield Found("silent", "Nothing, or next to nothing, can be heard.")
    elif facts["full"] > 0.001:
        yield Found("clipped", f"{facts['full']:.1%} of its samples stand at the loudest value there is.")
    if profile.rate and facts["sample_rate"] != profile.rate:
        yield Found("other_rate", f"{facts['sample_rate']:,} Hz; nearly all others have {profile.rate:,} Hz.")
    if reason := profile.length_reason(facts["seconds"], "seconds"):
        yield Found("unusual_length", reason)


def features(values: np.ndarray) -> np.ndarray:
    """What a small model learns labels from; `values` are fingerprints as rows of bytes."""
    import numpy as np

    numbers = np.ascontiguousarray(values[:, CEPSTRUM]).view(np.float16).astype(np.float32)
    return np.nan_to_num(numbers)


def _waves(frame: Any) -> np.ndarray:
    """The samples of a decoded frame, a row a channel, from -1 to 1: float32."""
    import numpy as np

    rows = frame.to_ndarray()
    if not frame.format.is_planar:
        rows = rows.reshape(-1, frame.layout.nb_channels).T
    if rows.dtype.kind == "f":
        return rows.astype(np.float32)
    if rows.dtype == np.uint8:
        return (rows.astype(np.float32) - 128) / 128
    return rows.astype(np.float32) / -float(np.iinfo(rows.dtype).min)


def _slowed(wave: np.ndarray, rate: int) -> np.ndarray:
    """A recording at the rate at which recordings are compared."""
    import math

    import numpy as np
    from scipy.signal import resample_poly

    if rate == RATE:
        return wave
    shared = math.gcd(rate, RATE)
    return resample_poly(wave, RATE // shared, rate // shared).astype(np.float32)


def _stretched(rows: np.ndarray, count: int) -> np.ndarray:
    """The course of each column in `count` steps, whatever the length."""
    import numpy as np

    places = np.linspace(0, len(rows) - 1, count)
    return np.stack([np.interp(places, np.arange(len(rows)), column) for column in rows.T], axis=1)


def _bands(bins: int) -> np.ndarray:
    """Triangular filters on the mel scale, one row a band."""
    import numpy as np

    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    frequencies = np.linspace(0, RATE / 2, bins)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)

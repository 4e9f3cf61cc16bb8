"""Recordings and films that tests make: tones, chords, and squares that move."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from tests.engine.cast import FileLine

RATE = 8000


def wav(samples: np.ndarray, rate: int = RATE, channels: int = 1) -> bytes:
    """Floats from -1 to 1, (samples,) or (samples, channels), as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes((samples * 32000).astype("<i2").tobytes())
    return file.getvalue()


def tone(rising: bool, number: int, seconds: float = 0.3) -> np.ndarray:
    """A tone that rises or falls by an octave, in some hiss."""
    random = np.random.default_rng([number, rising])
    time = np.arange(int(seconds * random.uniform(0.8, 1.2) * RATE)) / RATE
    part = time / time[-1]
    bend = part if rising else 1 - part
    phase = 2 * np.pi * np.cumsum(random.uniform(400, 700) * 2**bend) / RATE
    return 0.5 * np.sin(phase) + 0.02 * random.standard_normal(len(time))


def recordings(count: int, held_out: int = 4) -> list[FileLine]:
    """`count` tones of each of two classes; each `held_out`th is for validation."""
    return [
        (
            f"{label}/{number}.wav",
            label,
            "train" if number % held_out else "validation",
            wav(tone(label == "rising", number)),
        )
        for number in range(count)
        for label in ("falling", "rising")
    ]


def film(pictures: list[np.ndarray], rate: int = 10, codec: str = "mpeg4", **options: Any) -> bytes:
    """Pictures, uint8 (height, width, 3), as an MP4 file."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return file.getvalue()


def moving(right: bool, number: int, frames: int = 12) -> list[np.ndarray]:
    """A bright square that moves to the right or to the left, on noise."""
    random = np.random.default_rng([number, right])
    places = np.linspace(2, 34, frames).round().astype(int)
    row = int(random.integers(4, 24))
    pictures = []
    for place in places if right else places[::-1]:
        pixels = random.integers(0, 60, (36, 48, 3)).astype(np.uint8)
        pixels[row : row + 10, place : place + 10] = 240
        pictures.append(pixels)
    return pictures


def films(count: int, held_out: int = 4) -> list[FileLine]:
    """`count` films of each of two directions; each `held_out`th is for validation."""
    return [
        (
            f"{label}/{number}.mp4",
            label,
            "train" if number % held_out else "validation",
            film(moving(label == "right", number)),
        )
        for number in range(count)
        for label in ("left", "right")
    ]

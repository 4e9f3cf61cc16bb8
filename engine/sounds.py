"""Files of sound to waves: one channel, one rate, no longer than is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.media import BadMedia, opened

RATES = range(1000, 768_001)
TOLERATED_FAULTS = 6  # packets at the edges of an MP3 that was cut


@dataclass(frozen=True)
class Facts:
    """What the header of a sound says."""

    rate: int  # samples per second
    channels: int


def look(data: bytes) -> Facts:
    """The header of a sound, or of a film's sound; BadMedia when there is none."""
    with opened(data) as container:
        context = _track(container).codec_context
        return Facts(context.sample_rate, context.channels)


def decode(data: bytes, rate: int, seconds: float) -> np.ndarray:
    """The wave, int16 of shape (samples,), all channels mixed into one at this rate; what comes after `seconds` is left
    out. BadMedia when it can't be decoded."""
    import av

    most = int(seconds * rate)
    pieces: list[np.ndarray] = []
    count = faults = 0
    with opened(data) as container:
        track = _track(container)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.EOFError:
                continue
            except av.FFmpegError:
                faults += 1
                if container.format.name != "mp3" or faults > TOLERATED_FAULTS:
                    raise
                continue
            for resampled in [piece for frame in frames for piece in resampler.resample(frame)]:
                pieces.append(resampled.to_ndarray()[0])
                count += resampled.samples
            if count >= most:
                break
        else:
            pieces += [frame.to_ndarray()[0] for frame in resampler.resample(None)] if pieces else []
    wave = np.concatenate(pieces)[:most] if pieces else np.empty(0, np.int16)
    if not len(wave):
        raise BadMedia("it holds no sound that can be decoded")
    return wave


def _track(container: Any) -> Any:
    track = next(iter(container.streams.audio), None)
    if track is None:
        raise BadMedia("it holds no sound")
    if track.codec_context.sample_rate not in RATES:
        raise BadMedia(f"its rate of {track.codec_context.sample_rate:,} samples per second can't be used")
    return track

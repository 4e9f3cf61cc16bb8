"""Files of film to a few small pictures, evenly spread over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.media import BadMedia, opened

MAX_PIXELS = 9_500_000  # of a frame: 4096 x 2304 and a little
MAX_SECONDS = 600.0  # of a film; what comes later is not seen
LONG_SECONDS = 60.0  # from here on only frames that are stored whole are decoded


@dataclass(frozen=True)
class Facts:
    """What the header of a film says."""

    width: int
    height: int


def look(data: bytes) -> Facts:
    """The header of a film; BadMedia when it is none."""
    with opened(data) as container:
        context = _track(container).codec_context
        return Facts(context.width, context.height)


def decode(data: bytes, count: int, size: int) -> np.ndarray:
    """`count` frames, evenly spread from first to last, upright, uint8 of shape (count, 3, size, size); a film of
    fewer frames shows some twice. BadMedia when it can't be decoded."""
    with opened(data) as container:
        track = _track(container)
        track.thread_type, track.codec_context.thread_count = "AUTO", 1
        seconds = float((track.duration or 0) * (track.time_base or 0)) or (container.duration or 0) / 1e6
        if seconds > LONG_SECONDS:
            track.codec_context.skip_frame = "NONKEY"
        frames = _spread(container, track, count, size)
    if not frames:
        raise BadMedia("it holds no frame that can be decoded")
    places = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return np.stack([frames[place] for place in places])


def _spread(container: Any, track: Any, count: int, size: int) -> list[np.ndarray]:
    """At least `count` frames at even distances, if there are as many: each, then each second one, then each fourth."""
    kept: list[np.ndarray] = []
    step = 1
    for number, frame in enumerate(container.decode(track)):
        if (frame.time or 0) > MAX_SECONDS:
            break
        if frame.width * frame.height > MAX_PIXELS:
            raise BadMedia(f"its frames have more than {MAX_PIXELS:,} pixels")
        if number % step:
            continue
        kept.append(_small(frame, size))
        if len(kept) >= 4 * count:
            kept = kept[::2]
            step *= 2
    return kept


def _small(frame: Any, size: int) -> np.ndarray:
    """A frame as uint8 (3, size, size), turned as its file says."""
    pixels = frame.reformat(width=size, height=size, format="rgb24", interpolation="AREA").to_ndarray()
    turns = round(getattr(frame, "rotation", 0) / 90)
    return np.ascontiguousarray(np.rot90(pixels, turns).transpose(2, 0, 1))


def _track(container: Any) -> Any:
    track = next((track for track in container.streams.video if not _is_cover(track)), None)
    if track is None:
        raise BadMedia("it holds no pictures")
    context = track.codec_context
    if not 0 < context.width * context.height <= MAX_PIXELS:
        raise BadMedia(f"its frames have {context.width} x {context.height} pixels; at most {MAX_PIXELS:,} are taken")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return track


def _is_cover(track: Any) -> bool:
    from av.stream import Disposition

    return bool(track.disposition & Disposition.attached_pic)

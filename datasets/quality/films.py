"""Measuring videos: length, black and standing frames, and what is compared with others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from datasets.models import Item
from datasets.quality import images
from datasets.quality.found import Found
from datasets.quality.opened import DamagedError, opened
from datasets.quality.profile import Profile

if TYPE_CHECKING:
    import numpy as np

VERSION = 2
UNREADABLE = (DamagedError, OSError, ValueError, IndexError)  # PyAV's errors are among these
LONG_SECONDS = 30  # above it only key frames are looked at
MOST_FRAMES = 2000
STEPS = 8  # frames, evenly spread, that are compared
CELL = 8  # pixels of a side of the pieces of a frame, 64 pixels wide, in which movement is sought
STANDING, CELL_STANDING = 0.2, 2.0  # grey values that a whole frame and a piece of it change by when nothing moves
# The kept value: perceptual hashes of eight frames (64 bits each), these frames in grey, then a picture's fingerprint
# of the middle one.
HASHES = slice(0, 8 * STEPS)
FRAMES = slice(8 * STEPS, (8 + images.SIDE**2) * STEPS)
MIDDLE = slice((8 + images.SIDE**2) * STEPS, None)


def measure(item: Item, beat: Callable[[], None]) -> tuple[dict[str, Any], bytes]:
    """Facts about a video, and hashes of eight of its frames."""
    import av
    import numpy as np

    digest = hashlib.blake2b(digest_size=16)
    small: list[np.ndarray] = []
    black = 0
    with opened(item, beat) as file, av.open(file) as container:
        stream = container.streams.video[0]
        seconds = _seconds(container, stream)
        if seconds > LONG_SECONDS:
            stream.codec_context.skip_frame = "NONKEY"
        last = 0.0
        for frame in container.decode(stream):
            beat()
            picture = frame.reformat(width=64, height=64, format="rgb24").to_ndarray()
            digest.update(picture.tobytes())
            black += bool(picture.mean() < 20 and picture.max() < 64)
            small.append(picture)
            last = max(last, frame.time or 0.0)
            if len(small) >= MOST_FRAMES:
                break
        width, height = stream.width, stream.height
    if not small:
        raise ValueError("no frames")
    grey = np.stack(small).mean(3)
    steps = np.abs(np.diff(grey, axis=0))
    cells = steps.reshape(len(steps), 64 // CELL, CELL, 64 // CELL, CELL).mean((2, 4))
    facts = {
        "normal": digest.hexdigest(), "seconds": round(seconds or last, 3), "frames": len(small),
        "width": width, "height": height, "black": round(black / len(small), 4),
        "moved": round(float(steps.mean((1, 2)).max(initial=0)), 3),
        "moved_most": round(float(cells.max(initial=0)), 3),
    }  # fmt: skip
    return facts, _fingerprint(small)


def judge(facts: dict[str, Any], profile: Profile) -> Iterator[Found]:
    """What is wrong with one video, given what the dataset's videos are like."""
    if facts["black"] >= 0.2:
        yield Found("black_frames", f"{facts['black']:.0%} of its frames are black.")
    elif facts["frames"] > 1 and facts["moved"] < STANDING and facts["moved_most"] < CELL_STANDING:
        yield Found("still", "Nothing moves in it.")
    if reason := profile.length_reason(facts["seconds"], "seconds"):
        yield Found("unusual_length", reason)


def features(values: np.ndarray) -> np.ndarray:
    """What a small model learns labels from: the middle frame as a picture."""
    return images.features(values[:, MIDDLE])


def _fingerprint(frames: list[np.ndarray]) -> bytes:
    import numpy as np
    from PIL import Image

    places = np.linspace(0, len(frames) - 1, STEPS).round().astype(int)
    pictures = [images.fingerprint(Image.fromarray(frames[place])) for place in places]
    grey = b"".join(picture[images.GREY] for picture in pictures)
    return b"".join(picture[:8] for picture in pictures) + grey + pictures[STEPS // 2]


def _seconds(container: Any, stream: Any) -> float:
    """How long the file says that it is; 0 when it does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1_000_000 if container.duration else 0.0

"""Measuring pictures: size, sharpness, exposure, and what is compared with others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps, UnidentifiedImageError

from datasets.models import Item
from datasets.quality.found import Found
from datasets.quality.opened import DamagedError, opened
from datasets.quality.profile import SPREADS, Profile

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
UNREADABLE = (DamagedError, UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError)
SIDE = 32  # of the small grey picture that is kept
LOOKED_AT = 256  # pixels of the longer side on which sharpness and exposure are measured
TINY = 8
EVEN, EVEN_IF_DARK = 2.0, 0.5  # spread of grey values, 0–255: what is nearly black may still show something
FAR_SMALLER = 8  # times fewer pixels than usual
# The kept value: two perceptual hashes of 64 bits, the small grey picture, 64 shares of colours as bytes.
HASHES = slice(0, 16)
GREY = slice(16, 16 + SIDE * SIDE)
COLOURS = slice(16 + SIDE * SIDE, 16 + SIDE * SIDE + 64)


def measure(item: Item, beat: Callable[[], None]) -> tuple[dict[str, Any], bytes]:
    """Facts about a picture, and its hashes and small copy."""
    import numpy as np

    if item.media_type in {"image/heic", "image/heif", "image/avif"}:
        import pillow_heif

        pillow_heif.register_heif_opener()
    with opened(item, beat) as file, Image.open(file) as stored:
        whole = ImageOps.exif_transpose(stored).convert("RGB")
    facts: dict[str, Any] = {
        "normal": hashlib.blake2b(whole.tobytes(), digest_size=16, key=repr(whole.size).encode()).hexdigest(),
        "width": whole.width, "height": whole.height, "pixels": whole.width * whole.height,
    }  # fmt: skip
    small = whole.copy()
    small.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX)
    grey = np.asarray(small.convert("L"), np.float32)
    facts |= {
        "sharpness": round(sharpness(grey), 4),
        "dark": round(float((grey < 16).mean()), 4),
        "bright": round(float((grey > 245).mean()), 4),
        "spread": round(float(grey.std()), 3),
        "level": round(float(grey.mean()), 2),
    }
    return facts, fingerprint(whole)


def fingerprint(picture: Image.Image) -> bytes:
    """Hashes, small grey picture and colours of an RGB picture, as `HASHES`, `GREY` and `COLOURS` cut them."""
    import numpy as np
    from imagehash import dhash, phash

    small = picture.resize((4 * SIDE, 4 * SIDE), Image.Resampling.BOX) if min(picture.size) > 4 * SIDE else picture
    grey = small.convert("L")
    hashes = np.packbits(np.concatenate([phash(grey).hash.ravel(), dhash(grey).hash.ravel()]))
    tiny = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    quarters = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.uint8) >> 6
    colours = np.bincount((quarters[..., 0] * 16 + quarters[..., 1] * 4 + quarters[..., 2]).ravel(), minlength=64)
    shares = np.round(255 * np.sqrt(colours / colours.sum())).astype(np.uint8)
    return hashes.tobytes() + tiny.tobytes() + shares.tobytes()


def sharpness(grey: np.ndarray) -> float:
    """How hard the edges are: the spread of the Laplacian over the spread of the picture; 0 for an even one."""
    import numpy as np

    if min(grey.shape) < 3 or grey.std() < 1:
        return 0.0
    middle = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle
    return float(laplacian.std() / np.float32(grey.std()))


def judge(facts: dict[str, Any], profile: Profile) -> Iterator[Found]:
    """What is wrong with one picture, given what the dataset's pictures are like."""
    if facts["spread"] < (EVEN_IF_DARK if facts["dark"] > 0.9 else EVEN):
        yield Found("blank", "It is one even colour.")
        return
    width, height = facts["width"], facts["height"]
    usual = profile.pixels.usual
    if min(width, height) < TINY or (
        facts["pixels"] * FAR_SMALLER < usual and profile.pixels.away(facts["pixels"]) < 0
    ):
        compared = f", while half of the others have {usual:,.0f} pixels or more" if usual else ""
        yield Found("low_resolution", f"{width} × {height}{compared}.")
    if profile.sharpness.away(facts["sharpness"]) < -SPREADS / 2:
        yield Found(
            "blurred", f"Its edges have {facts['sharpness'] / profile.sharpness.usual:.0%} of the usual sharpness."
        )
    if facts["dark"] > 0.9 and profile.rare(profile.dark):
        yield Found("too_dark", f"{facts['dark']:.0%} of it is black.")
    if facts["bright"] > 0.9 and profile.rare(profile.bright):
        yield Found("too_bright", f"{facts['bright']:.0%} of it is white.")


def features(values: np.ndarray) -> np.ndarray:
    """What a small model learns labels from: small pictures, their edges by direction, and colours.

    `values` are fingerprints as rows of bytes; returns float32, one row each.
    """
    import numpy as np

    grey = values[:, GREY].reshape(-1, SIDE, SIDE).astype(np.float32) / 255
    plain = grey.reshape(-1, SIDE // 2, 2, SIDE // 2, 2).mean((2, 4)).reshape(len(grey), -1)
    plain = (plain - plain.mean(1, keepdims=True)) / (plain.std(1, keepdims=True) + 1e-3)
    return np.hstack([plain / 4, _edges(grey), values[:, COLOURS].astype(np.float32) / 255])


def _edges(grey: np.ndarray) -> np.ndarray:
    """For each of 8 × 8 cells how strong edges are in each of 8 directions, every picture scaled to length 8."""
    import numpy as np

    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = (((np.arctan2(down, across) + np.pi) / (2 * np.pi) * 8).astype(int)) % 8
    cells = np.zeros((len(grey), 8, 8, 8), np.float32)
    for way in range(8):
        cells[..., way] = (strength * (direction == way)).reshape(-1, 8, SIDE // 8, 8, SIDE // 8).sum((2, 4))
    flat = np.sqrt(cells.reshape(len(grey), -1))
    return 8 * flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)

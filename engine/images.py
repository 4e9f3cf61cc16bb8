"""Image files to arrays: only known formats, only sane sizes, and the same picture everywhere."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
HEIC_BEGINNINGS = {
    b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
}
MAX_PIXELS = 40_000_000
GREY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}


class BadImage(ValueError):
    """Why bytes are no image that can be used."""


def open_image(data: bytes) -> Image.Image:
    """Read the header of an image file; BadImage when it isn't one, or is too large to be decoded safely."""
    try:
        image = Image.open(io.BytesIO(data), formats=_heif() if data[4:12] in HEIC_BEGINNINGS else FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"it has more than {MAX_PIXELS:,} pixels") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise BadImage("it is not a PNG, JPEG, WebP, BMP, GIF, TIFF or HEIC image") from error
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"it has more than {MAX_PIXELS:,} pixels")
    return image


def decode(data: bytes, size: int, colour: bool) -> np.ndarray:
    """The picture as uint8 (channels, size, size), upright, on white where it is transparent.

    BadImage when it can't be decoded."""
    image = open_image(data)
    try:
        if image.format == "JPEG":
            image.draft("RGB" if colour else "L", (2 * size, 2 * size))  # decodes only as fine as needed
        image = upright(image).convert("RGB" if colour else "L")
        pixels = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise BadImage(f"it is damaged ({error})") from error
    return pixels.transpose(2, 0, 1) if colour else pixels[None]


def has_colour(data: bytes) -> bool:
    """Whether any part of the picture is more than a shade of grey."""
    if open_image(data).mode in GREY_MODES:
        return False
    pixels = decode(data, 32, colour=True).astype(np.int16)
    return bool((pixels.max(axis=0) - pixels.min(axis=0)).max() > 12)


def _heif() -> tuple[str, ...]:
    """Pillow's name of HEIC, once its library is loaded: only where such a picture is met."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    return ("HEIF",)


def upright(image: Image.Image) -> Image.Image:
    """The picture as it is meant to be seen: turned as its file says, transparency and 16-bit greys as plain 8-bit
    pictures."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode == "I":
        wide = np.asarray(image).astype(np.float32)
        return Image.fromarray((wide / 257 if wide.max(initial=0) > 255 else wide).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image

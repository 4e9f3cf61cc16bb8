"""Pictures: what decodes to its end is taken as it came."""

from __future__ import annotations

import struct
import threading
import warnings
from io import BytesIO
from typing import BinaryIO

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from datasets import limits
from datasets.formats.facts import Bench, Checked, Facts, copied, refuse_archives
from datasets.formats.kinds import another_kind, kind_of
from datasets.refused import Refused

# Pillow's own limits, for the whole process: a larger picture is an error and not a warning.
Image.MAX_IMAGE_PIXELS = limits.MAX_PIXELS
PngImagePlugin.MAX_TEXT_CHUNK = limits.MIB
PngImagePlugin.MAX_TEXT_MEMORY = 4 * limits.MIB
warnings.simplefilter("error", Image.DecompressionBombWarning)

# Format of Pillow -> media type that we serve it as.
IMAGES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp",
    "TIFF": "image/tiff",
}  # fmt: skip
HEIF = {"HEIF": "image/heic"}
_DECODING = threading.BoundedSemaphore(2)  # a large picture takes up to 160 MB while it is decoded


def check_image(source: BinaryIO, bench: Bench) -> Checked:
    """Copy a picture unchanged and decode it to its end. HEIC goes through the sandbox: its decoder is large."""
    draft, head = copied(source, bench, limits.MAX_IMAGE_BYTES)
    refuse_archives(draft, head, "a picture", "not_an_image")
    if is_heif(head):
        found = bench.sandbox.ask("heif", draft.path, bench.beat)
        return Checked(draft, Facts("image/heic", found["width"], found["height"]))
    with draft.reader() as file, _DECODING:
        return Checked(draft, inspect_image(file, head))


def is_heif(head: bytes) -> bool:
    kind = kind_of(head)
    return kind is not None and kind.format == "heif"


def heif_formats() -> list[str]:
    """Pillow's names of the formats, once HEIC is among them."""
    import pillow_heif  # 20 MB of library: only where such a picture is met

    pillow_heif.register_heif_opener(thumbnails=False)
    return list(HEIF)


def inspect_image(file: BinaryIO, head: bytes, formats: list[str] | None = None) -> Facts:
    """Size and type of a picture that can be decoded to its end; Refused otherwise."""
    _check_webp(head)
    try:
        with Image.open(file, formats=formats or list(IMAGES)) as image:
            _check_pixels(*image.size)
            name = image.format or ""
            if name == "TIFF" and _has_second_page(image):
                raise Refused("several_pages", "It is a TIFF file with several pages; send them as single pictures.")
            image.load()
            _check_pixels(*image.size)
            return Facts((IMAGES | HEIF)[name], *image.size)
    except Refused:
        raise
    except UnidentifiedImageError as error:
        raise _not_an_image(head) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused("too_many_pixels", f"It has more than {limits.MAX_PIXELS:,} pixels.") from error
    except Exception as error:  # decoders raise whatever they meet in hostile bytes
        raise Refused("broken_image", "The picture can't be decoded to its end: it is damaged or cut off.") from error


def thumbnail(file: BinaryIO) -> bytes:
    """A WebP picture of at most 256 x 256 pixels, without animation and metadata. Small pictures keep their size."""
    formats = list(IMAGES)
    if is_heif(file.read(32)):
        formats = heif_formats()
    file.seek(0)
    with _DECODING, Image.open(file, formats=formats) as image:
        _check_pixels(*image.size)
        image.draft("RGB", (limits.PREVIEW_PIXELS, limits.PREVIEW_PIXELS))  # JPEG: decode fewer pixels
        small = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((limits.PREVIEW_PIXELS, limits.PREVIEW_PIXELS))
        out = BytesIO()
        small.save(out, "WEBP", lossless=max(small.size) <= 64, quality=80, method=2)
        return out.getvalue()


def _check_pixels(width: int, height: int) -> None:
    if width * height > limits.MAX_PIXELS:
        raise Refused(
            "too_many_pixels", f"It has {width:,} x {height:,} pixels; at most {limits.MAX_PIXELS:,} are taken."
        )


def _check_webp(head: bytes) -> None:
    """Pillow's WebP decoder makes room for the whole picture on opening, so its header is read before."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return
    match head[12:16]:
        case b"VP8X":
            width = int.from_bytes(head[24:27], "little") + 1
            height = int.from_bytes(head[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case _:
            width, height = (side & 0x3FFF for side in struct.unpack("<HH", head[26:30]))
    _check_pixels(width, height)


def _has_second_page(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        image.seek(0)
        return False
    return True


def _not_an_image(head: bytes) -> Refused:
    kind = kind_of(head)
    if kind is not None and kind.family == "image":
        # The beginning of a picture, and then nothing that a decoder of it knows.
        return Refused("not_an_image", f"It begins like {kind.phrase}, but is not a picture that can be read.")
    return another_kind(head, "a picture", "not_an_image")

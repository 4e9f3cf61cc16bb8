"""What a file is, by its content and never by its name: pictures that decode to the end, texts that are text.

Each check writes the bytes to keep into a draft of the store and returns the facts about them, or refuses.
"""

from __future__ import annotations

import codecs
import struct
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Protocol

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from common.files import CHUNK
from datasets import limits
from datasets.archives import kind as archive_kind
from datasets.models import Modality
from datasets.refused import Refused

# Pillow's own limits, for the whole process: a larger picture is an error and not a warning.
Image.MAX_IMAGE_PIXELS = limits.MAX_PIXELS
PngImagePlugin.MAX_TEXT_CHUNK = limits.MIB
PngImagePlugin.MAX_TEXT_MEMORY = 4 * limits.MIB
warnings.simplefilter("error", Image.DecompressionBombWarning)

# Format of Pillow -> media type that we serve it as, and the end of the name that we give it.
IMAGES = {
    "JPEG": ("image/jpeg", ".jpg"),
    "PNG": ("image/png", ".png"),
    "WEBP": ("image/webp", ".webp"),
    "GIF": ("image/gif", ".gif"),
    "BMP": ("image/bmp", ".bmp"),
    "TIFF": ("image/tiff", ".tif"),
}
TEXT = "text/plain; charset=utf-8"
EXTENSIONS = {**dict(IMAGES.values()), TEXT: ".txt"}
INLINE = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})  # what a browser may show by itself

_BOMS = (
    (codecs.BOM_UTF32_LE, None), (codecs.BOM_UTF32_BE, None), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_LOOKS_LIKE = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"),
               (b"%pdf", "a PDF document"), (b"<?xml", "an XML document"), (b"<script", "a web page"))  # fmt: skip
_DECODING = threading.BoundedSemaphore(2)  # a large picture takes up to 160 MB while it is decoded


@dataclass(frozen=True)
class Facts:
    """What is known of an accepted file. Sizes are pixels or characters, None where they don't apply."""

    media_type: str
    width: int | None = None
    height: int | None = None
    characters: int | None = None


class Sink(Protocol):
    def write(self, chunk: bytes) -> None: ...
    def reader(self) -> BinaryIO: ...


Check = Callable[[BinaryIO, Sink], Facts]


def check_for(modality: str) -> Check:
    """The check that every file of this modality must pass."""
    return {Modality.IMAGE: check_image, Modality.TEXT: check_text}[Modality(modality)]


def check_image(source: BinaryIO, sink: Sink) -> Facts:
    """Copy a picture unchanged into `sink` and decode it to its end."""
    head = _copy(source, sink, limits.MAX_IMAGE_BYTES)
    if what := archive_kind(head):
        raise _nested(what)
    with sink.reader() as file, _DECODING:
        return inspect_image(file, head)


def inspect_image(file: BinaryIO, head: bytes) -> Facts:
    """Size and type of a picture that can be decoded to its end; Refused otherwise."""
    _check_webp(head)
    try:
        with Image.open(file, formats=list(IMAGES)) as image:
            _check_pixels(*image.size)
            name = image.format or ""
            if name == "TIFF" and _has_second_page(image):
                raise Refused("several_pages", "It is a TIFF file with several pages; send them as single pictures.")
            image.load()
            _check_pixels(*image.size)
            return Facts(IMAGES[name][0], *image.size)
    except Refused:
        raise
    except UnidentifiedImageError as error:
        raise Refused("not_an_image", _not_an_image(head)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused("too_many_pixels", f"It has more than {limits.MAX_PIXELS:,} pixels.") from error
    except Exception as error:  # decoders raise whatever they meet in hostile bytes
        raise Refused("broken_image", "The picture can't be decoded to its end: it is damaged or cut off.") from error


def check_text(source: BinaryIO, sink: Sink) -> Facts:
    """Write a text into `sink` as UTF-8 without byte order mark, which leaves valid UTF-8 as it is.

    UTF-8 with a mark and UTF-16 with a mark are converted; everything else is refused, with a hint.
    """
    chunk = source.read(CHUNK)
    if not chunk:
        raise Refused("empty", "The file is empty (0 bytes).")
    if what := archive_kind(chunk):
        raise _nested(what)
    decoder = codecs.getincrementaldecoder(_encoding(chunk))("strict")
    size = characters = 0
    blank = True
    while True:
        size += len(chunk)
        if size > limits.MAX_TEXT_BYTES:
            raise _too_large(limits.MAX_TEXT_BYTES)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            raise Refused("bad_encoding", "It is not UTF-8 text (nor UTF-16 with a byte order mark).") from error
        if "\0" in text:
            raise Refused("binary", "It holds NUL bytes, so it is not a text.")
        sink.write(text.encode("utf-8"))
        characters += len(text)
        blank = blank and not text.strip()
        if not chunk:
            break
        chunk = source.read(CHUNK)
    if blank:
        raise Refused("empty", "The text holds nothing but white space.")
    return Facts(TEXT, characters=characters)


def thumbnail(file: BinaryIO) -> bytes:
    """A WebP picture of at most 256 x 256 pixels, without animation and metadata. Small pictures keep their size."""
    with _DECODING, Image.open(file, formats=list(IMAGES)) as image:
        _check_pixels(*image.size)
        image.draft("RGB", (limits.PREVIEW_PIXELS, limits.PREVIEW_PIXELS))  # JPEG: decode fewer pixels
        small = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((limits.PREVIEW_PIXELS, limits.PREVIEW_PIXELS))
        out = BytesIO()
        small.save(out, "WEBP", lossless=max(small.size) <= 64, quality=80, method=2)
        return out.getvalue()


def text_start(file: BinaryIO) -> str:
    """The first characters of a stored text."""
    return file.read(4 * limits.PREVIEW_CHARACTERS).decode("utf-8", "ignore")[: limits.PREVIEW_CHARACTERS]


def _copy(source: BinaryIO, sink: Sink, limit: int) -> bytes:
    """Copy everything; returns the first bytes. Refused when there is nothing or too much."""
    head = b""
    size = 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        head = head or chunk[:512]
        sink.write(chunk)
    if not size:
        raise Refused("empty", "The file is empty (0 bytes).")
    return head


def _encoding(head: bytes) -> str:
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            if encoding is None:
                raise Refused("bad_encoding", "It is UTF-32 text.")
            return encoding
    return "utf-8"


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


def _not_an_image(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = next((words for magic, words in _LOOKS_LIKE if start.startswith(magic)), None)
    return f"Its content is {found}, not a picture." if found else "Its content is not a picture that is known here."


def _nested(what: str) -> Refused:
    return Refused("nested_archive", f"It is an archive inside an archive ({what}).")


def _too_large(limit: int) -> Refused:
    return Refused("too_large", f"It is larger than {limit // limits.MIB:,} MiB.")

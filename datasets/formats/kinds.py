"""What kind of file bytes are, by their beginning: for choosing a reader, and for saying what something is instead."""

from __future__ import annotations

import re
from dataclasses import dataclass

from datasets.refused import Refused


@dataclass(frozen=True)
class Kind:
    """A family of formats, our word for the format, and a phrase for sentences."""

    family: str  # image, media, table, document, archive, page
    format: str
    phrase: str


_HEIF = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_PREFIXES: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", Kind("image", "jpeg", "a JPEG picture")),
    (b"\x89PNG\r\n\x1a\n", Kind("image", "png", "a PNG picture")),
    (b"GIF87a", Kind("image", "gif", "a GIF picture")),
    (b"GIF89a", Kind("image", "gif", "a GIF picture")),
    (b"II*\x00", Kind("image", "tiff", "a TIFF picture")),
    (b"MM\x00*", Kind("image", "tiff", "a TIFF picture")),
    (b"fLaC", Kind("media", "flac", "a FLAC recording")),
    (b"OggS", Kind("media", "ogg", "an Ogg file")),
    (b"\x1aE\xdf\xa3", Kind("media", "matroska", "a Matroska or WebM file")),
    (b"PAR1", Kind("table", "parquet", "a Parquet table")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("table", "workbook", "an old Office document, such as an Excel file")),
    (b"%PDF", Kind("document", "pdf", "a PDF document")),
    (b"\x00asm", Kind("program", "wasm", "a program")),
    (b"\x7fELF", Kind("program", "elf", "a program")),
    (b"MZ", Kind("program", "exe", "a program for Windows")),
    (b"\x80\x04\x95", Kind("program", "pickle", "a Python pickle, which is never opened")),
    (b"\x80\x02", Kind("program", "pickle", "a Python pickle, which is never opened")),
    (b"\x93NUMPY", Kind("document", "npy", "a NumPy array")),
    (b"SQLite format 3", Kind("document", "sqlite", "an SQLite database")),
    (b"FORM", Kind("media?", "aiff", "an AIFF recording")),
)  # fmt: skip
_PAGES = ((b"<svg", "an SVG drawing"), (b"<!doctype html", "a web page"), (b"<html", "a web page"),
          (b"<?xml", "an XML document"), (b"<script", "a web page"))  # fmt: skip
# Layer and bit rate of an MPEG frame's header; 0xFFFE and 0xFFFF are byte order marks.
_MPEG = re.compile(rb"\xff[\xe2\xe3\xf2-\xf7\xfa\xfb]", re.DOTALL)


def kind_of(head: bytes) -> Kind | None:
    """What the first bytes (4,096 are best) say; None when they say nothing: perhaps a text."""
    if head[:4] in {b"RIFF", b"RF64"}:
        return _riff(head[8:12])
    if head[4:8] == b"ftyp":
        return _iso(head[8:12])
    if head[4:8] in {b"moov", b"mdat", b"wide", b"free", b"skip"} and head[:2] == b"\0\0":
        return Kind("media", "mp4", "a QuickTime file")
    for prefix, kind in _PREFIXES:
        if head.startswith(prefix):
            return kind
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return Kind("image", "bmp", "a BMP picture")
    if head[:3] == b"ID3" or (_MPEG.match(head) and (head[2] >> 4) not in {0, 15}):
        return Kind("media", "mp3", "an MP3 recording")
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    words = next((words for magic, words in _PAGES if start.startswith(magic)), None)
    return Kind("page", "markup", words) if words else None


def another_kind(head: bytes, wanted: str, code: str) -> Refused:
    """The refusal of a file that is something else. `wanted`: "picture", "recording" …"""
    kind = kind_of(head)
    if kind is None:
        looks = "text" if _looks_like_text(head) else ""
        if looks:
            return Refused(code, f"Its content is text, not {wanted}.")
        return Refused(code, f"Its content is not {wanted} that is known here.")
    return Refused(code, f"Its content is {kind.phrase}, not {wanted}.")


def _riff(form: bytes) -> Kind | None:
    return {
        b"WAVE": Kind("media", "wav", "a WAV recording"),
        b"AVI ": Kind("media", "avi", "an AVI video"),
        b"WEBP": Kind("image", "webp", "a WebP picture"),
    }.get(form)


def _iso(brand: bytes) -> Kind:
    if brand in _HEIF:
        return Kind("image", "heif", "a HEIC picture")
    if brand in {b"avif", b"avis"}:
        return Kind("image", "avif", "an AVIF picture")
    if brand in {b"M4A ", b"M4B "}:
        return Kind("media", "mp4", "an M4A recording")
    return Kind("media", "mp4", "a QuickTime file" if brand == b"qt  " else "an MP4 file")


def _looks_like_text(head: bytes) -> bool:
    return bool(head) and not any(byte < 9 or 13 < byte < 27 for byte in head[:512])

"""Few flat values of an input by which it can be told whether inputs change: light enough to be taken at each request.

Of a text only what can be counted; of a row its numbers and, unless nothing may be kept, its short words, which are
classes as a rule; of a file its size and what its head says.
"""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from registry.logged.policies import Keep

MAX_COLUMNS = 100
LONGEST_WORD = 40  # characters: what is longer is text and no class
LONGEST_NAME = 100
MEASURED = 20_000  # characters of a text that shares of kinds are told from
OTHER_PICTURES = ("GIF", "WEBP", "BMP")
Values = dict[str, Any]


def of_text(text: str) -> Values:
    """Lengths and shares of kinds of characters, which any language has."""
    head = text[:MEASURED]
    visible = sum(not letter.isspace() for letter in head) or 1
    kinds = {"letters": str.isalpha, "digits": str.isdigit, "upper_case": str.isupper}
    counted = {name: round(sum(map(kind, head)) / visible, 4) for name, kind in kinds.items()}
    return {"characters": len(text), "words": len(text.split()), **counted}


def of_row(row: Mapping[str, Any], keep: str) -> Values:
    """The columns that hold one value: numbers and yes or no; short words where `keep` is not none."""
    found: Values = {}
    for name, value in row.items():
        if len(found) == MAX_COLUMNS:
            break
        value = _number_in(value) if isinstance(value, str) else value
        if isinstance(value, str) and (keep == Keep.NONE or len(value) > LONGEST_WORD or "\n" in value):
            continue
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
            found[str(name)[:LONGEST_NAME]] = value
    return found


def of_file(data: bytes, modality: str | None) -> Values:
    """Bytes, and what the head of a PNG, JPEG or WAV tells: width and height, or seconds and rate."""
    found: Values = {"bytes": len(data)}
    with suppress(Exception):  # whatever stands there: a head that can't be read tells nothing
        found |= _sound(data) if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else _picture(data, modality)
    return found


def _picture(data: bytes, modality: str | None) -> Values:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack(">II", data[16:24])
    elif data.startswith(b"\xff\xd8"):
        width, height = _jpeg(data)
    elif modality == "image":
        from PIL import Image

        with Image.open(io.BytesIO(data), formats=OTHER_PICTURES) as picture:  # reads the head alone
            width, height = picture.size
    else:
        return {}
    return {"width": width, "height": height}


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walks from marker to marker until the one that begins a frame; IndexError or struct.error without one."""
    place = 2
    while True:
        marker, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + length


def _sound(data: bytes) -> Values:
    with wave.open(io.BytesIO(data)) as sound:
        rate = sound.getframerate()
        return {"seconds": round(sound.getnframes() / rate, 3), "rate": rate, "channels": sound.getnchannels()}


def _number_in(text: str) -> Any:
    """The number that a cell of a CSV holds; else the cell as it is."""
    with suppress(ValueError):
        if text[:1] in "+-.0123456789" and math.isfinite(value := float(text)):
            return int(text) if text.lstrip("+-").isdecimal() and len(text) < 16 else value
    return text

"""What a file is, by its content and never by its name, and what is known of it.

A check copies a file into a draft of the store and returns the facts about it, or refuses it in words. Nothing
here needs Django: the same code runs in the sandbox, a process apart that opens what strangers sent.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from importlib import import_module
from typing import BinaryIO

from datasets import limits
from datasets.formats.facts import EXTENSIONS, INLINE, ROW, TEXT, Bench, Checked, Facts
from datasets.formats.images import thumbnail

__all__ = ["EXTENSIONS", "INLINE", "ROW", "TEXT", "Bench", "Check", "Checked", "Facts", "check_for", "text_part",
           "text_start", "thumbnail"]  # fmt: skip

Check = Callable[[BinaryIO, Bench], Checked]
_CHECKS = {
    "image": "images.check_image", "text": "texts.check_text", "audio": "media.check_audio",
    "video": "media.check_video", "table": "tables.check_table",
}  # fmt: skip


def check_for(modality: str) -> Check:
    """The check that every file of this modality must pass."""
    module, name = _CHECKS[modality].split(".")
    return getattr(import_module(f"datasets.formats.{module}"), name)  # readers that others need not load


def text_part(file: BinaryIO, start: int, size: int) -> tuple[str, int]:
    """The text in the `size` bytes from `start`, and the byte where the next part begins: no letter is cut in two."""
    file.seek(start)
    data = file.read(size)
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    text = decoder.decode(data, final=len(data) < size)
    return text, start + len(data) - len(decoder.getstate()[0])


def text_start(file: BinaryIO) -> str:
    """The first characters of a stored text."""
    return file.read(4 * limits.PREVIEW_CHARACTERS).decode("utf-8", "ignore")[: limits.PREVIEW_CHARACTERS]

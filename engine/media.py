"""Opens files of sound and film: from memory, only known containers, each by the reader that its first bytes name."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from engine.data import Dataset, Item, bad_data

KINDS = "WAV, FLAC, MP3, Ogg, MP4, Matroska, WebM or AVI"
MAX_BYTES = 2 << 30
T = TypeVar("T")


class BadMedia(ValueError):
    """Why bytes are no sound or film that can be used."""


@contextmanager
def opened(data: bytes) -> Iterator[Any]:
    """The container in a file's bytes; BadMedia when it is none that is known, or turns out to be damaged inside of the
    `with` block."""
    import av

    reader = _reader(data)
    if reader is None:
        raise BadMedia(f"it is not {KINDS}")
    if len(data) > MAX_BYTES:
        raise BadMedia(f"it is larger than {MAX_BYTES >> 30} GiB")
    av.logging.set_level(av.logging.PANIC)
    try:
        # Files that a file refers to are never opened.
        with av.open(io.BytesIO(data), format=reader, options={"enable_drefs": "0"}) as container:
            yield container
    except (av.FFmpegError, OverflowError, LookupError) as error:
        raise BadMedia("it is damaged or cut off") from error


def guarded(item: Item, use: Callable[[bytes], T], dataset: Dataset) -> T:
    """What `use` makes of an item's bytes; EngineError BAD_DATA names the item when that can't be done."""
    try:
        return use(dataset.read(item))
    except BadMedia as error:
        raise bad_data(f"'{item.name}' can't be used: {error}.", "Remove it and freeze a new version.") from error


def _reader(data: bytes) -> str | None:
    """FFmpeg's name of what reads this; playlists and readers of links are not among them."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RF64"):
        return {b"WAVE": "wav", b"AVI ": "avi"}.get(head[8:])
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "mov"
    for beginning, reader in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1aE\xdf\xa3", "matroska"), (b"ID3", "mp3")):
        if head.startswith(beginning):
            return reader
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    return None

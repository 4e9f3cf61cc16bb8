"""Tar archives, read as a stream: plain files only, nothing is ever extracted.

Python's own tarfile reads extended headers of any size into memory and is about extracting; this walks the
blocks in constant memory and leaves each decision to the caller.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from datasets.refused import Refused

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 18
MAX_EXTENDED = 64 * 1024  # bytes of one extended header: far more than any honest path needs
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
KINDS = {
    tarfile.LNKTYPE: "a link", tarfile.SYMTYPE: "a link", tarfile.CHRTYPE: "a device", tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe", tarfile.GNUTYPE_SPARSE: "a sparse file",
}  # fmt: skip


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass
class Entry:
    """One entry; `kind` is 'file', 'folder', or words for what is not taken. Read `data` before the next one."""

    name: str
    size: int
    kind: str
    data: io.BufferedReader


class _Part(io.RawIOBase):
    """The bytes of one entry, off the stream."""

    def __init__(self, stream: Readable, size: int) -> None:
        self.stream, self.left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        wanted = min(len(buffer), self.left)
        data = self.stream.read(wanted) if wanted else b""
        if len(data) == 0 and wanted:
            raise _cut()
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)


def entries(stream: Readable) -> Iterator[Entry]:
    """Walk the archive from its start. Refused when it is damaged."""
    name: str | None = None
    size: int | None = None
    while (block := _exact(stream, BLOCK, at_end=True)) and block.strip(b"\0"):
        info = _header(block)
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            records = _records(_extended(stream, info.size))
            name, size = records.get("path", name), _size(records.get("size"), size)
        elif info.type == tarfile.GNUTYPE_LONGNAME:
            name = _extended(stream, info.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif info.type in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            _extended(stream, info.size)
        else:
            length = info.size if size is None else size
            part = _Part(stream, length)
            yield Entry(info.name if name is None else name, length, _kind(info), io.BufferedReader(part, CHUNK))
            _skip(stream, part.left + -length % BLOCK)
            name = size = None


def _kind(info: tarfile.TarInfo) -> str:
    if info.type in PLAIN:
        return "file"
    if info.type == tarfile.DIRTYPE:
        return "folder"
    return KINDS.get(info.type, "a special entry")


def _header(block: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise Refused("corrupt_archive", "The tar archive is damaged: a header can't be read.") from error
    if info.size < 0:
        raise Refused("corrupt_archive", "The tar archive is damaged: a size is negative.")
    return info


def _extended(stream: Readable, size: int) -> bytes:
    if size > MAX_EXTENDED:
        raise Refused("unsafe_archive", "The tar archive has an extended header of an unreasonable size.")
    data = _exact(stream, size)
    _skip(stream, -size % BLOCK)
    return data


def _records(data: bytes) -> dict[str, str]:
    """The `<length> <key>=<value>` lines of a pax header."""
    found: dict[str, str] = {}
    while data and data[:1] != b"\0":
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        if not len(digits) + 2 < length <= len(data):
            raise Refused("corrupt_archive", "The tar archive is damaged: an extended header can't be read.")
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        data = data[length:]
    if any(key.startswith("GNU.sparse") for key in found):
        raise Refused("unsafe_archive", "The tar archive holds a sparse file.")
    return found


def _size(text: str | None, before: int | None) -> int | None:
    if text is None:
        return before
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refused("corrupt_archive", "The tar archive is damaged: a size can't be read.")
    return int(text)


def _exact(stream: Readable, size: int, *, at_end: bool = False) -> bytes:
    """`size` bytes; with `at_end`, b"" when the stream ends right here."""
    parts: list[bytes] = []
    left = size
    while left:
        part = stream.read(min(left, CHUNK))
        if not part:
            if at_end and left == size:
                return b""
            raise _cut()
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _skip(stream: Readable, size: int) -> None:
    while size:
        part = stream.read(min(size, CHUNK))
        if not part:
            raise _cut()
        size -= len(part)


def _cut() -> Refused:
    return Refused("corrupt_archive", "The tar archive ends in the middle of a file.")

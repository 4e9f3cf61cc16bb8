"""Zip, tar and tar.gz archives as a sequence of names and streams. Nothing is ever extracted to a path.

An archive is looked through as a whole first. When anything in it is an attack (a name that leads outside,
a link, a bomb), nothing of it is taken. Names are labels only; where the bytes go is the store's business.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import BinaryIO, Protocol

from datasets import limits
from datasets.intake import tarballs
from datasets.names import fault, is_system_file, shown
from datasets.refused import Refused

Beat = Callable[[], None]
HEAD = 512  # bytes that `kind` wants to see
_OTHER = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"Rar!\x1a\x07": "a RAR archive", b"\xfd7zXZ\x00": "an xz file",
    b"BZh": "a bzip2 file", b"\x28\xb5\x2f\xfd": "a Zstandard file", b"MSCF": "a cabinet archive",
}  # fmt: skip
_DIRECTORY_ENTRY = struct.Struct("<4s24x3H12x")  # signature, lengths of name, extra field and comment
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, struct.error, ValueError, NotImplementedError)


class Archive(Protocol):
    """An archive that passed. `count` files are in it, folders and system files left out."""

    count: int

    def members(self, start: int = 0) -> Iterator[tuple[str, BinaryIO | Refused]]:
        """Names and streams in order, from number `start`. Read each stream before the next one."""


def kind(head: bytes) -> str | None:
    """'zip', 'tar', 'gzip' or words for another archive, by content; None when it is none."""
    if head[:4] in {b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"}:
        return "zip"
    if head[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if head[257:262] == b"ustar":
        return "tar"
    return next((words for magic, words in _OTHER.items() if head.startswith(magic)), None)


def open_archive(what: str, stream: BinaryIO, size: int, beat: Beat = lambda: None) -> Archive:
    """Look through an archive of `size` packed bytes. Refused, with the reason, when it can't be taken.

    `stream` must allow seeking and stay open as long as members are read. `beat` is called every now and then.
    """
    if what == "zip":
        return _Zip(stream, size)
    if what in {"tar", "gzip"}:
        return _Tar(stream, size, packed=what == "gzip", beat=beat)
    raise Refused("unknown_archive", f"This is {what}, which can't be opened here.")


class _Budget:
    """How much an archive may become, counted while it is unpacked."""

    def __init__(self, packed: int) -> None:
        self.ratio_limit = max(limits.RATIO_FREE_BYTES, packed * limits.MAX_RATIO)
        self.used = 0

    def take(self, size: int) -> None:
        self.used += size
        if self.used > self.ratio_limit:
            raise Refused("archive_bomb", f"Unpacked, the archive grows more than {limits.MAX_RATIO} times.")
        if self.used > limits.MAX_UNPACKED_BYTES:
            gib = limits.MAX_UNPACKED_BYTES / limits.GIB
            raise Refused("archive_bomb", f"Unpacked, the archive is larger than {gib:.3g} GiB.")


class _Counted(io.RawIOBase):
    """A stream that charges what is read to a budget and tells damage in words."""

    def __init__(self, stream: BinaryIO, budget: _Budget, beat: Beat = lambda: None, *, closes: bool = True) -> None:
        self.stream, self.budget, self.beat, self.closes = stream, budget, beat, closes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        self.beat()
        try:
            data = self.stream.read(size if size >= 0 else tarballs.CHUNK)
        except _DAMAGE as error:
            raise Refused("corrupt_archive", "Its packed bytes are damaged.") from error
        self.budget.take(len(data))
        return data

    def close(self) -> None:
        if self.closes:
            self.stream.close()
        super().close()


class _Zip:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        _check_directory(stream, size)
        try:
            self.file = zipfile.ZipFile(stream)
        except _DAMAGE as error:
            raise _damaged("zip") from error
        infos = self.file.infolist()
        _check_overlap(infos)
        names = _Names()
        for info in infos:
            names.add(info.orig_filename)
            if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise _unsafe(info.filename, "is a link or a device")
        self.files = [info for info in infos if not info.is_dir() and not is_system_file(info.filename)]
        self.count = len(self.files)
        self.packed = size
        _Budget(size).take(sum(info.file_size for info in infos))

    def members(self, start: int = 0) -> Iterator[tuple[str, BinaryIO | Refused]]:
        # zipfile hands out no more than the size in the header, which is what was charged above;
        # this budget counts what really comes.
        budget = _Budget(self.packed)
        for info in self.files[start:]:
            yield info.filename, self._open(info, budget)

    def _open(self, info: zipfile.ZipInfo, budget: _Budget) -> BinaryIO | Refused:
        if info.flag_bits & 0x41:
            return Refused("encrypted", "It is encrypted.")
        # LZMA would let the sender choose how much memory unpacking takes.
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            return Refused("unknown_archive", "It is packed by a method other than 'deflate'.")
        try:
            return _Counted(self.file.open(info), budget)
        except _DAMAGE:
            return Refused("corrupt_archive", "Its packed bytes are damaged.")


class _Tar:
    def __init__(self, stream: BinaryIO, size: int, *, packed: bool, beat: Beat) -> None:
        self.stream, self.size, self.packed, self.beat = stream, size, packed, beat
        self.count = 0
        names = _Names()
        for entry in self._entries():
            names.add(entry.name)
            if entry.kind not in {"file", "folder"}:
                raise _unsafe(entry.name, f"is {entry.kind}")
            self.count += entry.kind == "file" and not is_system_file(entry.name)
        while self.packed and self.counted.read(tarballs.CHUNK):
            pass  # to the end, where the checksum of what was unpacked stands

    def members(self, start: int = 0) -> Iterator[tuple[str, BinaryIO | Refused]]:
        number = 0
        for entry in self._entries():
            if entry.kind == "file" and not is_system_file(entry.name):
                number += 1
                if number > start:
                    yield entry.name.removeprefix("./"), entry.data

    def _entries(self) -> Iterator[tarballs.Entry]:
        self.stream.seek(0)
        plain = gzip.GzipFile(fileobj=self.stream, mode="rb") if self.packed else self.stream
        self.counted = counted = _Counted(plain, _Budget(self.size), self.beat, closes=self.packed)
        head = counted.read(HEAD)
        if self.packed and kind(head) != "tar":
            raise Refused("unknown_archive", "This is a gzip file that holds no tar archive.")
        return tarballs.entries(_Again(head, counted))


class _Again:
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, stream: io.RawIOBase) -> None:
        self.head, self.stream = head, stream

    def read(self, size: int, /) -> bytes:
        if not self.head:
            return self.stream.read(size)
        part, self.head = self.head[:size], self.head[size:]
        return part


def _check_directory(stream: BinaryIO, size: int) -> None:
    """Count the files before zipfile makes an object of each.

    Finds the directory the way zipfile does, so that both see the same one.
    """
    try:
        end = zipfile._EndRecData(stream)
    except (OSError, *_DAMAGE) as error:
        raise _damaged("zip") from error
    if not end:
        raise _damaged("zip")
    length, location = end[5], end[9]  # size of the directory, position of its end record
    if end[4] > limits.MAX_FILES:
        raise _too_many()
    if length > limits.MAX_DIRECTORY_BYTES or length > size:
        raise Refused("unsafe_archive", "The zip archive's list of files has an unreasonable size.")
    start = location - length - (zipfile.sizeEndCentDir64 + zipfile.sizeEndCentDir64Locator) * _is_zip64(end)
    stream.seek(max(0, start))
    _count(stream.read(length))
    stream.seek(0)


def _is_zip64(end: list[int | bytes]) -> bool:
    return end[0] == zipfile.stringEndArchive64


def _count(directory: bytes) -> None:
    position = count = 0
    while position + 46 <= len(directory):
        signature, name, extra, comment = _DIRECTORY_ENTRY.unpack_from(directory, position)
        if signature != b"PK\x01\x02":
            raise _damaged("zip")
        position += 46 + name + extra + comment
        count += 1
        if count > limits.MAX_FILES:
            raise _too_many()


class _Names:
    """The names of an archive, checked one by one."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.count = 0

    def add(self, name: str) -> None:
        self.count += 1
        if self.count > limits.MAX_FILES:
            raise _too_many()
        plain = name.rstrip("/").removeprefix("./") if name != "/" else name
        if problem := fault(plain):
            raise _unsafe(name, problem)
        if plain in self.seen and not name.endswith("/"):
            raise _unsafe(name, "is in it twice")
        self.seen.add(plain)


def _check_overlap(infos: list[zipfile.ZipInfo]) -> None:
    """Files that share packed bytes: how a small archive claims to hold a large one."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for one, other in pairwise(ordered):
        if one.header_offset + zipfile.sizeFileHeader + one.compress_size > other.header_offset:
            raise Refused("archive_bomb", "Files inside the zip archive overlap.")


def _unsafe(name: str, problem: str) -> Refused:
    return Refused("unsafe_archive", f"Nothing was taken from the archive: '{shown(name)}' {problem}.")


def _too_many() -> Refused:
    return Refused("too_many_files", f"There are more than {limits.MAX_FILES:,} files in the archive.")


def _damaged(what: str) -> Refused:
    return Refused("corrupt_archive", f"The {what} archive is damaged or incomplete.")

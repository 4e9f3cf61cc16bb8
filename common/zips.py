"""Zip archives that are sent while they are made, in constant memory: their directory is kept on the disk meanwhile."""

from __future__ import annotations

import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

CHUNK = 1 << 18
IN_MEMORY = 8 << 20
FULL = 0xFFFFFFFF  # what stands in a field of 32 bits whose value is in the 64-bit extra
MANY = 0xFFFF
UTF8 = 0x800
NEEDED = 45  # version 4.5 knows files and archives above 4 GiB
MADE_BY = 3 << 8 | NEEDED  # on Unix
PLAIN_FILE = 0o100644 << 16

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END_64 = struct.Struct("<4sQ2H2I4Q")
LOCATOR = struct.Struct("<4sIQI")
END = struct.Struct("<4s4H2IH")


class Zip:
    """Give what `add` and `end` return to the receiver, in this order; files are stored as they are."""

    def __init__(self, folder: Path) -> None:
        self.directory = _spool(folder)
        self.count = 0
        self.offset = 0
        now = time.gmtime()
        self.moment = (
            now.tm_hour << 11 | now.tm_min << 5 | now.tm_sec // 2,
            (now.tm_year - 1980) << 9 | now.tm_mon << 5 | now.tm_mday,
        )

    def add(self, name: str, opened: Callable[[], BinaryIO]) -> Iterator[bytes]:
        """A file under this path. It is opened and read twice: checksum and size stand before its content."""
        checksum, size = _measure(opened)
        path = name.encode()
        large = struct.pack("<HHQQ", 1, 16, size, size) if size >= FULL else b""
        shown = FULL if large else size
        header = (UTF8, 0, *self.moment, checksum, shown, shown, len(path))
        self._note(path, header, size, bool(large))
        yield self._sent(LOCAL.pack(b"PK\x03\x04", NEEDED, *header, len(large)) + path + large)
        with opened() as file:
            while chunk := file.read(CHUNK):
                yield self._sent(chunk)

    def end(self) -> Iterator[bytes]:
        """The directory, and where it lies."""
        start, size = self.offset, self.directory.tell()
        self.directory.seek(0)
        with self.directory:
            while chunk := self.directory.read(CHUNK):
                yield self._sent(chunk)
        if self.count >= MANY or size >= FULL or start >= FULL:
            yield END_64.pack(b"PK\x06\x06", 44, MADE_BY, NEEDED, 0, 0, self.count, self.count, size, start)
            yield LOCATOR.pack(b"PK\x06\x07", 0, self.offset, 1)
        count = min(self.count, MANY)
        yield END.pack(b"PK\x05\x06", 0, 0, count, count, min(size, FULL), min(start, FULL), 0)

    def _note(self, path: bytes, header: tuple[int, ...], size: int, large: bool) -> None:
        """The file's line in the directory."""
        values = [size, size] if large else []
        if self.offset >= FULL:
            values.append(self.offset)
        extra = struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values) if values else b""
        line = (len(extra), 0, 0, 0, PLAIN_FILE, min(self.offset, FULL))
        self.directory.write(CENTRAL.pack(b"PK\x01\x02", MADE_BY, NEEDED, *header, *line) + path + extra)
        self.count += 1

    def _sent(self, data: bytes) -> bytes:
        self.offset += len(data)
        return data


def _spool(folder: Path) -> Any:
    return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=folder)


def _measure(opened: Callable[[], BinaryIO]) -> tuple[int, int]:
    """(CRC-32, bytes) of a file."""
    checksum = size = 0
    with opened() as file:
        while chunk := file.read(CHUNK):
            checksum = zlib.crc32(chunk, checksum)
            size += len(chunk)
    return checksum, size

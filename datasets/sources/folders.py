"""The files of a folder of the server, without following a link anywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common.errors import InvalidInputError
from datasets.sources import roots
from datasets.sources.remote import Body, Entry
from datasets.sources.transport import CHUNK


class Folder:
    """A remote with the regular files below a folder, by their relative paths; or with one file."""

    def __init__(self, origin: dict[str, Any], beat: Callable[[], None]) -> None:
        path = roots.find(Path(origin["path"]))
        self.only = "" if path.is_dir() else path.name
        self.base = path.name if path.is_dir() else path.parent.name
        self.folder = roots.open_folder(path if path.is_dir() else path.parent)
        self.beat = beat
        self.passed_over = 0  # links, pipes and devices

    def entries(self, after: str = "") -> Iterator[Entry]:
        found = self._found() if not self.only else [self.only]
        for key in sorted(found):
            if key <= after:
                continue
            try:
                status = os.stat(key, dir_fd=self.folder, follow_symlinks=False)
            except OSError:
                continue  # removed since
            yield Entry(key, f"{self.base}/{key}", status.st_size)

    def open(self, entry: Entry, start: int, validator: str) -> Body:
        try:
            descriptor = roots.open_below(self.folder, entry.key)
        except OSError as error:
            raise InvalidInputError(
                f"'{entry.name[:200]}' can't be read: {os.strerror(error.errno or 0)}.",
                "Import again once the folder stays as it is.",
            ) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise InvalidInputError(f"'{entry.name[:200]}' is no regular file any more.", "Import again.")
        now = f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
        begins = start if start and validator == now else 0
        return Body(_chunks(descriptor, begins), begins, now, status.st_size)

    def close(self) -> None:
        os.close(self.folder)

    def _found(self) -> list[str]:
        found = []
        self.passed_over = 0
        for path, _, names, descriptor in os.fwalk(".", dir_fd=self.folder, follow_symlinks=False):
            self.beat()
            for name in names:
                try:
                    mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
                    name.encode()
                except (OSError, UnicodeEncodeError):
                    mode = 0
                if stat.S_ISREG(mode):
                    found.append(os.path.normpath(f"{path}/{name}"))
                else:
                    self.passed_over += 1
        return found


def _chunks(descriptor: int, position: int) -> Iterator[bytes]:
    try:
        while chunk := os.pread(descriptor, CHUNK, position):
            position += len(chunk)
            yield chunk
    finally:
        os.close(descriptor)

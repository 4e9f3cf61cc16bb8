"""The files of an upload in a fixed order, with its archives opened: what an import walks through."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from datasets import limits, names
from datasets.formats.workbooks import is_document
from datasets.intake import spool
from datasets.intake.archives import HEAD, Archive, kind, open_archive
from datasets.refused import Refused

Beat = Callable[[], None]


@dataclass(frozen=True)
class Found:
    """One file: its clean name, and its bytes or the reason why it can't be read."""

    name: str
    content: BinaryIO | Refused


class Upload:
    """The sources of one import. The order is the same each time, so a number is enough to go on after a crash."""

    def __init__(self, spooled: spool.Opened, sources: list[dict[str, Any]], beat: Beat) -> None:
        self.spooled = spooled
        self.beat = beat
        self.parts = [_Part(self, source) for source in sources if not names.is_system_file(source["name"])]
        self.total = 0
        for part in self.parts:
            part.look(self.total)
            self.total += part.count

    def files(self, start: int = 0) -> Iterator[Found]:
        """Every file from number `start`. Read each one's content before the next."""
        for part in self.parts:
            if start < part.count:
                yield from part.files(start)
            start = max(0, start - part.count)


class _Part:
    """One source: a loose file, an archive, or one that was refused as a whole."""

    def __init__(self, upload: Upload, source: dict[str, Any]) -> None:
        self.upload, self.source = upload, source
        self.name = names.clean(source["name"])
        self.count = 1
        self.refused: Refused | None = None
        self.is_archive = False

    def look(self, before: int) -> None:
        """Find out what it is; `before` files come from the sources before it."""
        try:
            archive = self._archive()
            if archive is not None:
                self.is_archive, self.count = True, archive.count
                if not archive.count:
                    raise Refused("empty", "The archive holds no files.")
            if before + self.count > limits.MAX_FILES:
                raise Refused("too_many_files", f"With it the import has more than {limits.MAX_FILES:,} files.")
        except Refused as refused:
            self.refused, self.count = refused, 1

    def files(self, start: int) -> Iterator[Found]:
        if self.refused:
            yield Found(self.name, self.refused)
        elif self.is_archive:
            for name, content in self._archive().members(start):
                yield Found(names.clean(name), content)
        else:
            yield Found(self.name, self._open())

    def _open(self) -> BinaryIO:
        return self.upload.spooled.window(self.source)

    def _archive(self) -> Archive | None:
        stream = self._open()
        what = kind(stream.read(HEAD))
        stream.seek(0, io.SEEK_SET)
        if what == "zip" and is_document(stream):
            return None
        return open_archive(what, stream, self.source["bytes"], self.upload.beat) if what else None

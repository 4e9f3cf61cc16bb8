"""What checks of files share: facts about a file that was taken, the bench they work at, the types we serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from common.files import CHUNK
from datasets import limits
from datasets.formats.workbooks import document_kind
from datasets.intake.archives import kind as archive_kind
from datasets.refused import Refused

if TYPE_CHECKING:
    from common.files import Draft
    from datasets.formats.sandbox import Sandbox

TEXT = "text/plain; charset=utf-8"
ROW = "application/vnd.trainhub.row+json"  # an item without a file of its own

# Media type of what we serve -> the end of the name that we give it.
EXTENSIONS = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif", "image/bmp": ".bmp",
    "image/tiff": ".tif", "image/heic": ".heic",
    "audio/wav": ".wav", "audio/flac": ".flac", "audio/mpeg": ".mp3", "audio/ogg": ".ogg", "audio/mp4": ".m4a",
    "audio/webm": ".weba",
    "video/mp4": ".mp4", "video/quicktime": ".mov", "video/x-matroska": ".mkv", "video/webm": ".webm",
    "video/x-msvideo": ".avi", "video/ogg": ".ogv",
    "text/csv": ".csv", "text/tab-separated-values": ".tsv", "application/vnd.apache.parquet": ".parquet",
    "application/vnd.ms-excel": ".xls", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/x-ndjson": ".jsonl", "application/json": ".json",
    TEXT: ".txt", ROW: ".json",
}  # fmt: skip
# What a browser may show or play by itself.
INLINE = frozenset({
    "image/jpeg", "image/png", "image/webp", "image/gif",
    "audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "audio/mp4", "audio/webm",
    "video/mp4", "video/webm", "video/ogg",
})  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What is known of an accepted file. Sizes are pixels or characters, None where they don't apply.

    `more` goes to the item's facts: seconds, sample_rate, channels, codec, fps, frames, encoding, rows, columns …
    """

    media_type: str
    width: int | None = None
    height: int | None = None
    characters: int | None = None
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checked:
    """A file that was taken: its bytes, what else belongs to it, and what of it could not be used."""

    draft: Draft
    facts: Facts
    beside: tuple[Draft, ...] = ()
    problems: tuple[tuple[str, Refused], ...] = ()  # of single rows: where, and why


class Bench(Protocol):
    """Where a check works: it makes drafts of the store, shows that the worker lives, and knows the options."""

    options: dict[str, Any]
    sandbox: Sandbox

    def draft(self) -> Draft: ...
    def drop(self, draft: Draft) -> None: ...
    def beat(self) -> None: ...


def copied(source: BinaryIO, bench: Bench, limit: int) -> tuple[Draft, bytes]:
    """The whole file as a draft, and its first bytes. Refused when there is nothing or too much."""
    draft = bench.draft()
    head = b""
    for chunk in chunks(source, limit):
        bench.beat()
        draft.write(chunk)
        if len(head) < HEAD:
            head = (head + chunk)[:HEAD]
    return draft, head


class Watched:
    """A file whose reader shows that it lives, however long the file is."""

    def __init__(self, file: BinaryIO, beat: Callable[[], None]) -> None:
        self.file, self.beat = file, beat
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        self.beat()
        return self.file.read(size)


HEAD = 4096  # bytes that tell what a file is


def chunks(source: BinaryIO, limit: int) -> Iterator[bytes]:
    """The bytes in pieces. Refused when there are none or more than `limit`."""
    size = 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        yield chunk
    if not size:
        raise Refused("empty", "The file is empty (0 bytes).")


def too_large(limit: int) -> Refused:
    return Refused("too_large", f"It is larger than {limit // limits.MIB:,} MiB.")


def refuse_archives(draft: Draft, head: bytes, wanted: str, code: str) -> None:
    """Refused for an archive inside an archive, and for Office documents, which are archives inside."""
    what = archive_kind(head)
    if what is None:
        return
    with draft.reader() as file:
        document = document_kind(file) if what == "zip" else ""
    if document:
        raise Refused(code, f"Its content is {document}, not {wanted}.")
    raise Refused("nested_archive", f"It is an archive inside an archive ({what}).")

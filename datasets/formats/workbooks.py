"""Office documents are zip archives inside: told from other archives by the names of their parts."""

from __future__ import annotations

import os
from typing import BinaryIO

_WINDOW = 1 << 16
_PARTS = {
    b"xl/workbook": "an Excel workbook", b"word/document": "a Word document", b"ppt/presentation": "a PowerPoint file",
    b"opendocument.spreadsheet": "an OpenDocument table", b"opendocument.text": "an OpenDocument text",
}  # fmt: skip


def is_document(stream: BinaryIO) -> bool:
    """Whether a zip file is an Office document and no archive of files. Leaves the stream at its start."""
    return bool(document_kind(stream))


def document_kind(stream: BinaryIO) -> str:
    """The words for an Office document; '' for any other zip file."""
    stream.seek(0)
    seen = stream.read(_WINDOW)
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _WINDOW))
    seen += stream.read(_WINDOW)  # the list of its parts stands at the end
    stream.seek(0)
    if b"[Content_Types].xml" not in seen and b"mimetypeapplication/vnd.oasis" not in seen:
        return ""
    return next((words for part, words in _PARTS.items() if part in seen), "")

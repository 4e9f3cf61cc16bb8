"""The bytes of items, sent so that no browser takes them for a page of ours, and so that players can seek in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from common.downloads import PIECE, SEALED, download
from common.errors import ProblemError
from common.files import store
from datasets import formats
from datasets.items import previews, rows
from datasets.models import Item

# An item's bytes never change under their hash, so its owner's browser may keep them.
CACHE = "private, max-age=31536000, immutable"
# A row's content can be edited under the same address, and previews can come later.
FRESH = "private, no-cache"
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
WAITS = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64" viewBox="0 0 24 24" fill="none" stroke="#8a94a6"'
    ' stroke-width="1"><path d="{}"/></svg>'
)
HOURGLASS = "M8 6h8M8 18h8M9 6c0 4 3 4.500 3 6s-3 2-3 6M15 6c0 4-3 4.500-3 6s3 2 3 6"
CROSSED = "M6 6h12v12H6zM6 18 18 6"


class RangeError(ProblemError):
    """A part of the file that is not there."""

    status = 416
    code = "range_not_satisfiable"
    title = "The file is shorter"


def content_response(request: HttpRequest, item: Item) -> StreamingHttpResponse:
    """The whole file, or the part that `Range` asks for. What browsers know is shown, everything else is a download.

    Type and name come from what the content was found to be, never from the sender. RangeError for a part behind the
    end.
    """
    media_type = item.media_type if item.media_type in formats.EXTENSIONS else "application/octet-stream"
    name = f"item-{item.pk}{formats.EXTENSIONS.get(media_type, '.bin')}"
    if item.content is not None:
        response = download(request, [rows.canonical(item.content)], "application/json", name)
        response.headers["Content-Length"] = str(item.bytes)
        response.headers["Cache-Control"] = FRESH
        return response
    part = _part(request, item)
    first, length = part or (0, item.bytes)
    response = download(request, _pieces(store().open(item.sha256), first, length), media_type, name)
    if media_type in formats.INLINE:
        response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    if part is not None:
        response.status_code = 206
        response.headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{item.bytes}"
    response.headers["Content-Length"] = str(length)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["ETag"] = f'"{item.sha256}"'
    response.headers["Cache-Control"] = CACHE
    return response


def preview_response(item: Item) -> HttpResponse:
    """A small picture, a waveform, or the first characters of a text. 202 with a placeholder while it is made."""
    if previews.kind_of(item):
        response = _picture(previews.wanted(item))
    elif item.content is not None:
        text = rows.plain_text(item.content)[: formats.limits.PREVIEW_CHARACTERS]
        response = HttpResponse(text, content_type=formats.TEXT, headers={"Cache-Control": FRESH})
    else:
        with store().open(item.sha256) as file:
            response = HttpResponse(formats.text_start(file), content_type=formats.TEXT)
            response.headers["Cache-Control"] = CACHE
    response.headers["Content-Security-Policy"] = SEALED
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _picture(preview: previews.Preview | None) -> HttpResponse:
    if preview is None:
        drawing = WAITS.format(HOURGLASS)
        return HttpResponse(drawing, content_type="image/svg+xml", status=202, headers={"Cache-Control": "no-store"})
    if preview.kind == previews.NONE:
        return HttpResponse(WAITS.format(CROSSED), content_type="image/svg+xml", headers={"Cache-Control": FRESH})
    media_type = {previews.WEBP: "image/webp", previews.SVG: "image/svg+xml"}[preview.kind]
    return HttpResponse(preview.data, content_type=media_type, headers={"Cache-Control": CACHE})


def _part(request: HttpRequest, item: Item) -> tuple[int, int] | None:
    """(first byte, length) of the one range that is asked for; None for the whole."""
    asked = RANGE.fullmatch(request.headers.get("Range", "").strip())
    condition = request.headers.get("If-Range", "")
    if asked is None or not any(asked.groups()) or (condition and condition != f'"{item.sha256}"'):
        return None
    first, last = asked.groups()
    if not first:  # the last so many bytes
        start, end = max(0, item.bytes - int(last)), item.bytes - 1
    else:
        start, end = int(first), min(int(last or item.bytes), item.bytes - 1)
        if last and int(last) < start:
            return None
    if start > end:
        raise RangeError(f"The file has {item.bytes:,} bytes.", "Ask for bytes before its end.")
    return start, end - start + 1


def _pieces(file: BinaryIO, first: int, length: int) -> Iterator[bytes]:
    """A stretch of an open file; closes the file."""
    with file:
        file.seek(first)
        while length and (piece := file.read(min(PIECE, length))):
            length -= len(piece)
            yield piece

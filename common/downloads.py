"""Long answers, sent piece by piece with constant memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import BinaryIO

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

PIECE = 1 << 18
# What people uploaded or trained is never shown by the browser as a page of ours.
SEALED = "sandbox; default-src 'none'"


def download(
    request: HttpRequest, pieces: Iterable[str | bytes], content_type: str, name: str
) -> StreamingHttpResponse:
    """An attachment called `name`, which must be one of our own making: plain ASCII without quotes."""
    plain = _joined(pieces)
    # Django would gather a plain iterator in memory before it sends the first byte by ASGI.
    body = _in_thread(plain) if isinstance(request, ASGIRequest) else plain
    response = StreamingHttpResponse(body, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Security-Policy"] = SEALED
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def picture(data: bytes, content_type: str) -> HttpResponse:
    """A picture that a page shows, for whoever was let in; it never changes under its address."""
    response = HttpResponse(data, content_type=content_type)
    response.headers["Content-Security-Policy"] = SEALED
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


def file_pieces(file: BinaryIO) -> Iterator[bytes]:
    """An open file's content; closes the file."""
    with file:
        while piece := file.read(PIECE):
            yield piece


def _joined(pieces: Iterable[str | bytes]) -> Iterator[bytes]:
    """Pieces of useful size: lines alone would cost a hop to a thread each."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        data = piece.encode() if isinstance(piece, str) else piece
        held.append(data)
        size += len(data)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    # The request's own thread, so that the database connection stays the same.
    take = sync_to_async(lambda: next(pieces, None))
    try:
        while (piece := await take()) is not None:
            yield piece
    finally:
        await sync_to_async(pieces.close)()  # type: ignore[attr-defined]

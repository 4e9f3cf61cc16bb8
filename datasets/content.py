"""The bytes of items, sent so that no browser takes them for a page of ours."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from PIL import UnidentifiedImageError

from common.downloads import SEALED, download, file_pieces
from common.errors import NotFoundError, UnavailableError
from common.files import store
from datasets import formats, limits, rows
from datasets.models import Item
from datasets.refused import Refused

# An item's bytes never change, so its owner's browser may keep them.
CACHE = "private, max-age=31536000, immutable"


def content_response(request: HttpRequest, item: Item) -> HttpResponseBase:
    """The whole file. Pictures that browsers know are shown, everything else is a download.

    Type and name come from what the content was found to be, never from the sender.
    """
    if item.content is not None:
        return _row_response(item)
    media_type = item.media_type if item.media_type in formats.EXTENSIONS else "application/octet-stream"
    name = f"item-{item.pk}{formats.EXTENSIONS.get(media_type, '.bin')}"
    response = download(request, file_pieces(store().open(item.sha256)), media_type, name)
    if media_type in formats.INLINE:
        response.headers["Content-Disposition"] = f'inline; filename="{name}"'
    response.headers["Content-Length"] = str(item.bytes)
    response.headers["Cache-Control"] = CACHE
    return response


def _row_response(item: Item) -> HttpResponse:
    """A row as JSON, the very bytes that its address is the hash of."""
    response = HttpResponse(rows.canonical(item.content), content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="item-{item.pk}.json"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-cache"  # rows can be edited
    return response


def preview_response(item: Item) -> HttpResponse:
    """A picture of at most 256 pixels a side, or the first characters of a text. NotFoundError where neither fits."""
    if item.content is not None:
        start = rows.plain_text(item.content)[: limits.PREVIEW_CHARACTERS]
        response = HttpResponse(start, content_type=formats.TEXT)
    elif item.media_type == formats.TEXT or item.media_type.startswith("image/"):
        with store().open(item.sha256) as file:
            if item.media_type == formats.TEXT:
                response = HttpResponse(formats.text_start(file), content_type=formats.TEXT)
            else:
                response = HttpResponse(_thumbnail(file, item), content_type="image/webp")
    else:
        raise NotFoundError("There is no small picture of this kind of item.", "Open the item itself.")
    response.headers["Content-Security-Policy"] = SEALED
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = CACHE
    return response


def _thumbnail(file: object, item: Item) -> bytes:
    try:
        return formats.thumbnail(file)  # type: ignore[arg-type]
    except (Refused, UnidentifiedImageError, OSError) as error:  # it was sound when it came in
        raise UnavailableError(
            f"The picture of item {item.pk} can't be read: its file was damaged.",
            "Restore the file store from a backup.",
        ) from error

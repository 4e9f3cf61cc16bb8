"""One file from a web address. Redirects are followed by hand: each is checked like the first address."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from common.errors import InvalidInputError, UnavailableError
from datasets import limits
from datasets.sources import origins
from datasets.sources.remote import Body, BrokenOffError, Entry
from datasets.sources.transport import CHUNK, GuardedManager

MAX_REDIRECTS = 5
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "TrainHub", "Accept": "*/*"}
RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class WebFile:
    """A remote with one file."""

    def __init__(self, origin: dict[str, Any], beat: Callable[[], None]) -> None:
        self.url: str = origin["url"]
        self.http = GuardedManager(beat)

    def entries(self, after: str = "") -> Iterator[Entry]:
        name = unquote(urlsplit(self.url).path.rstrip("/").rpartition("/")[2]) or "download"
        if not after:
            yield Entry("file", name, None)

    def open(self, entry: Entry, start: int, validator: str) -> Body:
        headers = dict(HEADERS)
        if start and validator:
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        answer = self._answer(headers)
        begins, size = _place(answer, start)
        encoding = answer.headers.get("Content-Encoding", "identity").lower()
        if encoding not in {"identity", "gzip", ""}:
            answer.close()
            raise InvalidInputError(f"The server packs the file as '{encoding[:40]}'.", "Give a plain file.")
        packed = encoding == "gzip"
        # What is unpacked on the way can't be asked for from a position.
        return Body(
            _unpacked(answer, size) if packed else _plain(answer, size, begins), begins,
            "" if packed else _validator(answer), None if packed else size,
        )  # fmt: skip

    def _answer(self, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        url = self.url
        for _ in range(MAX_REDIRECTS + 1):
            origins.web_address(url)
            try:
                answer = self.http.urlopen("GET", url, headers=headers, preload_content=False)
            except HTTPError as error:
                raise BrokenOffError(str(type(error).__name__)) from error
            if answer.status in {200, 206}:
                return answer
            if answer.status not in REDIRECTS or not answer.headers.get("Location"):
                raise _refused(answer.status)
            target = urljoin(url, answer.headers["Location"])
            if url.startswith("https:") and not target.startswith("https:"):
                raise InvalidInputError(
                    "The server leads from https to an address that is not protected.", "Use another address."
                )
            url = target
        raise InvalidInputError(f"The address leads on more than {MAX_REDIRECTS} times.", "Use its last address.")


def _place(answer: urllib3.BaseHTTPResponse, start: int) -> tuple[int, int | None]:
    """Where the answer's bytes begin, and how long the whole file is if the server says so."""
    if answer.status == 206:
        found = RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if found is None or int(found[1]) != start:
            answer.close()
            raise UnavailableError("The server sent another part of the file than was asked for.", "Try again later.")
        return start, int(found[2]) if found[2] != "*" else None
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isascii() and length.isdecimal() else None


def _validator(answer: urllib3.BaseHTTPResponse) -> str:
    """What tells the same file again: a strong ETag, else the date of its last change."""
    tag = answer.headers.get("ETag", "")
    return (tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", ""))[:200]


def _plain(answer: urllib3.BaseHTTPResponse, size: int | None, begins: int) -> Iterator[bytes]:
    came = begins
    for chunk in _read(answer, decode=False):
        came += len(chunk)
        yield chunk
    if size is not None and came != size:
        raise BrokenOffError("the answer ended early")


def _unpacked(answer: urllib3.BaseHTTPResponse, packed: int | None) -> Iterator[bytes]:
    """What the server packed for the way; a small answer that becomes a huge file is a bomb."""
    came = 0
    for chunk in _read(answer, decode=True):
        came += len(chunk)
        if came > max(limits.RATIO_FREE_BYTES, (packed or answer.tell()) * limits.MAX_RATIO):
            raise InvalidInputError(
                f"Unpacked, the server's answer grows more than {limits.MAX_RATIO} times.", "Give a plain file."
            )
        yield chunk


def _read(answer: urllib3.BaseHTTPResponse, *, decode: bool) -> Iterator[bytes]:
    try:
        while chunk := answer.read(CHUNK, decode_content=decode):
            yield chunk
    except (HTTPError, OSError) as error:
        raise BrokenOffError(type(error).__name__) from error
    finally:
        answer.close()


def _refused(status: int) -> Exception:
    if status in {401, 403}:
        return InvalidInputError(f"The server refuses the file ({status}).", "Check that it may be read by everyone.")
    if status in {404, 410}:
        return InvalidInputError("There is no file at this address.", "Check the address.")
    if status >= 500 or status == 429:
        return BrokenOffError(str(status))
    return UnavailableError(f"The server answered with {status}.", "Check the address, then try again.")

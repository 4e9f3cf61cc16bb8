"""HTTP over guarded connections, with every answer bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import urllib3

from common.errors import UnavailableError
from datasets import limits
from datasets.sources import guard
from engine import guarded

TIMEOUT = urllib3.Timeout(connect=10, read=30)
MAX_ANSWER = 8 << 20  # of what is read whole: listings and errors
CHUNK = 1 << 18


class GuardedManager(guarded.Manager):
    """Asks no address that `guard` doesn't allow, and ends in time.

    `beat` is called before each request, since a server can make a client ask again and again.
    """

    def __init__(self, beat: Callable[[], None]) -> None:
        super().__init__(guard.allowance(), guard.PORTS, num_pools=4, timeout=TIMEOUT)
        self.beat = beat
        self.ends = time.monotonic() + limits.MAX_SOURCE_SECONDS

    def urlopen(self, method: str, url: str, redirect: bool = False, **given: Any) -> Any:  # type: ignore[override]
        """As urllib3's; an answer that is read whole, or is no success, has at most `MAX_ANSWER` bytes."""
        self.check_time()
        whole = given.pop("preload_content", True)
        with guard.told():
            answer = super().urlopen(method, url, preload_content=False, **given)
        if not whole and answer.status in {200, 206}:
            return answer
        try:
            body = answer.read(MAX_ANSWER + 1, decode_content=True)
        finally:
            answer.close()
        if len(body) > MAX_ANSWER:
            raise UnavailableError("The server's answer is unreasonably long.", "Check the address.")
        return urllib3.HTTPResponse(
            body=body, headers=answer.headers, status=answer.status, reason=answer.reason, request_method=method
        )

    def check_time(self) -> None:
        """UnavailableError when the whole takes too long."""
        self.beat()
        if time.monotonic() > self.ends:
            hours = limits.MAX_SOURCE_SECONDS / 3600
            raise UnavailableError(f"Fetching took longer than {hours:.3g} hours.", "Fetch it in smaller parts.")

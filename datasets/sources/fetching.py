"""Fetching an import's files from elsewhere into the spool, by the worker that holds the import."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import transaction
from django.utils import timezone

from common.errors import InvalidInputError, TooLargeError, UnavailableError
from common.push import publish
from common.wording import size as in_words
from datasets import limits
from datasets.claims import Claim
from datasets.models import Import
from datasets.names import clean, is_system_file
from datasets.sources import origins
from datasets.sources.landing import Landing
from datasets.sources.remote import BrokenOffError, Entry, Remote

TELL_SECONDS = 0.5
# Between two attempts at the same place; a server that gives more bytes each time is asked as long as it takes.
WAITS = (1.0, 2.0, 5.0, 10.0, 20.0)


def fetch(claim: Claim[Import]) -> None:
    """Bring all files of the origin into the import's pack, or go on where a dead worker left it.

    Ends with the import's sources in its row, and without the keys by which they were fetched. ProblemError when they
    can't be fetched; LostClaimError when another worker has the import.
    """
    row = claim.row
    remote = _remote(row.origin, claim.beat)
    try:
        with Landing(row.pk, claim.attempt) as landing:
            _Fetch(claim, remote, landing).run()
            sources = landing.hand_over()
            passed = getattr(remote, "passed_over", 0)
            origin = origins.without_secrets(row.origin) | {"fetched": timezone.now().isoformat()}
            with transaction.atomic():
                claim.update(
                    sources=sources, origin=origin | ({"passed_over": passed} if passed else {}),
                    bytes_total=landing.bytes, bytes_done=0,
                )  # fmt: skip
                publish(f"import.{row.pk}", f"dataset.{row.dataset_id}")
    finally:
        getattr(remote, "close", lambda: None)()
    row.refresh_from_db()


def _remote(origin: dict[str, Any], beat: Callable[[], None]) -> Remote:
    match origin["kind"]:
        case "url":
            from datasets.sources.web import WebFile

            return WebFile(origin, beat)
        case "s3":
            from datasets.sources.buckets import Bucket

            return Bucket(origin, beat)
        case _:
            from datasets.sources.folders import Folder

            return Folder(origin, beat)


class _Fetch:
    def __init__(self, claim: Claim[Import], remote: Remote, landing: Landing) -> None:
        self.claim, self.remote, self.landing = claim, remote, landing
        self.total = 0
        self._told = 0.0

    def run(self) -> None:
        self.total = self._measure()
        self._check_size(self.total)
        self._tell(at_once=True)
        for entry in self._listed(self.landing.last_key):
            if not is_system_file(entry.name):
                self._bring(entry)
        self._tell(at_once=True)
        if not self.landing.entries:
            raise InvalidInputError("There is no file to fetch.", "Check the folder or prefix.")

    def _measure(self) -> int:
        """All bytes that are to come, as far as they are known before; also counts the files."""
        total = 0
        for number, entry in enumerate(self._listed(""), 1):
            self.claim.beat()
            if number > limits.MAX_FILES:
                raise TooLargeError(f"There are more than {limits.MAX_FILES:,} files.", "Choose a smaller part.")
            total += entry.bytes or 0
        return total

    def _listed(self, after: str) -> Iterator[Entry]:
        """The files after a key; when the connection breaks while they are listed, it is asked for the rest."""
        for wait in (*WAITS, None):
            try:
                for entry in self.remote.entries(after):
                    yield entry
                    after = entry.key
                return
            except BrokenOffError as error:
                if wait is None:
                    raise _breaks_off(error) from error
                self._wait(wait)

    def _bring(self, entry: Entry) -> None:
        """One file, with as many attempts as bring it further; then again with a growing wait."""
        attempt = 0
        while True:
            before = self.landing.partial
            try:
                self._attempt(entry)
                break
            except BrokenOffError as error:
                attempt = attempt + 1 if self.landing.partial <= before else 0
                if attempt >= len(WAITS):
                    raise _breaks_off(error) from error
                self._wait(WAITS[attempt])
        self.landing.complete(entry.key, clean(entry.name))
        self._tell()

    def _attempt(self, entry: Entry) -> None:
        landing = self.landing
        body = self.remote.open(entry, landing.partial, landing.validator)
        if body.start < landing.partial:
            landing.restart(body.start)
        landing.validator = body.validator
        if body.bytes is not None and entry.bytes is None:
            self._check_size(landing.bytes - landing.partial + body.bytes)
            self.total = max(self.total, landing.bytes - landing.partial + body.bytes)
        for chunk in body.chunks:
            self.claim.beat()
            landing.write(chunk)
            self._check_size(landing.bytes)
            self._tell()

    def _check_size(self, size: int) -> None:
        if size > limits.MAX_SOURCE_BYTES:
            raise TooLargeError(
                f"There are more than {in_words(limits.MAX_SOURCE_BYTES)} to fetch.", "Choose a smaller part."
            )

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.claim.beat()
            time.sleep(min(left, 1.0))

    def _tell(self, *, at_once: bool = False) -> None:
        """Show how far it is, twice a second at most; also fails when the import was taken over."""
        if not at_once and time.monotonic() - self._told < TELL_SECONDS:
            return
        self._told = time.monotonic()
        row = self.claim.row
        with transaction.atomic():
            self.claim.update(bytes_total=max(self.total, self.landing.bytes), bytes_done=self.landing.bytes)
            publish(f"import.{row.pk}", f"dataset.{row.dataset_id}")


def _breaks_off(error: BrokenOffError) -> UnavailableError:
    return UnavailableError(f"The connection breaks off each time ({error}).", "Try again later.")

"""What the open page of a version is told: that it came further in being merged."""

from __future__ import annotations

import re
from typing import Any

from common.errors import NotFoundError
from common.push import Message
from registry.access import get_version
from registry.merging import merge_of
from registry.models import ModelVersion
from registry.versions import listed

SEEN = re.compile(r"[a-z]+-[a-z]+-\d+")


def seen(version: ModelVersion) -> str:
    """All of it that can change while its page is open: its status, and that of the merge that it belongs to."""
    merge = merge_of(version)
    return f"{version.status}-{merge.status}-{merge.pk}" if merge else f"{version.status}-none-0"


class VersionSource:
    """One version's page. Whoever has seen another state than the present one asks for the page again, once."""

    def __init__(self, version: ModelVersion, told: str) -> None:
        self.pk = version.pk
        self.told = told
        self.channel = f"version.{version.pk}.{told}"
        self.topics = (f"version.{version.pk}",)

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> VersionSource:
        told = query.get("seen", "")
        return cls(get_version(user, key), told if SEEN.fullmatch(told) else "")

    def snapshot(self) -> list[Message]:
        return [Message("items", now)] if (now := self._now()) != self.told else []

    def update(self) -> list[Message]:
        if (now := self._now()) == self.told:
            return []
        self.told = now
        return [Message("items", now)]

    def _now(self) -> str:
        version = listed().filter(pk=self.pk).first()
        if version is None:
            raise NotFoundError("The version is gone.", "Go back to the list of models.")
        return seen(version)

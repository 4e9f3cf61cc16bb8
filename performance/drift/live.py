"""What the open page of a check is told: that it came further."""

from __future__ import annotations

from typing import Any

from common.push import Message
from performance.drift.access import get_check
from performance.models import DriftCheck


def seen(check: DriftCheck) -> str:
    """All of it that can change while its page is open."""
    return f"{check.status}-{check.attempt}"


class DriftSource:
    """One check's page. Whoever has seen another state than the present one asks for the page again, once."""

    def __init__(self, pk: int, told: str) -> None:
        self.pk, self.told = pk, told
        self.channel = f"drift.{pk}.{told}"
        self.topics = (f"drift.{pk}",)

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> DriftSource:
        return cls(get_check(user, key).pk, query.get("seen", "")[:40])

    def snapshot(self) -> list[Message]:
        return [Message("items", now)] if (now := self._now()) != self.told else []

    def update(self) -> list[Message]:
        if (now := self._now()) == self.told:
            return []
        self.told = now
        return [Message("items", now)]

    def _now(self) -> str:
        return seen(DriftCheck.objects.only("status", "attempt").get(pk=self.pk))

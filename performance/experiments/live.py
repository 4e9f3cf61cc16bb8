"""What the open page of an experiment is told: that it was looked at, or has ended."""

from __future__ import annotations

import re
from typing import Any

from common.errors import NotFoundError
from common.push import Message
from performance.experiments import overview
from performance.models import Experiment

SEEN = re.compile(r"[a-z]+-\d+")


def seen(row: Experiment) -> str:
    """All of it that can change while its page is open: its status, and when it was last looked at."""
    return f"{row.status}-{int(row.looked_at.timestamp() * 1e6) if row.looked_at else 0}"


class ExperimentSource:
    """One experiment's page. Whoever has seen another state than the present one asks for the page again."""

    pace = 1.0

    def __init__(self, row: Experiment, told: str) -> None:
        self.pk = row.pk
        self.told = told
        self.channel = f"experiment.{row.pk}.{told}"
        self.topics = (f"experiment.{row.pk}",)

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> ExperimentSource:
        told = query.get("seen", "")
        return cls(overview.find(user, key), told if SEEN.fullmatch(told) else "")

    def snapshot(self) -> list[Message]:
        return [Message("items", now)] if (now := self._now()) != self.told else []

    def update(self) -> list[Message]:
        if (now := self._now()) == self.told:
            return []
        self.told = now
        return [Message("items", now)]

    def _now(self) -> str:
        row = Experiment.objects.filter(pk=self.pk).first()
        if row is None:
            raise NotFoundError("The experiment is gone.", "Go back to the list of experiments.")
        return seen(row)

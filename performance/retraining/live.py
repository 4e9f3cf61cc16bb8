"""What the open page of a retraining is told: that it went on."""

from __future__ import annotations

import re
from typing import Any

from common.errors import NotFoundError
from common.push import Message
from performance.models import Retraining
from performance.retraining.overview import retrainings_for

SEEN = re.compile(r"[a-z_]+-\d+-\d+")


def seen(row: Retraining) -> str:
    """All of it that can change while its page is open."""
    job = row.job.event_count if row.job else 0
    return f"{row.status}-{row.events.count()}-{job}"


class RetrainingSource:
    """One retraining's page. Whoever has seen another state than the present one asks for the page again, once."""

    def __init__(self, row: Retraining, told: str) -> None:
        self.pk = row.pk
        self.told = told
        self.channel = f"retraining.{row.pk}.{told}"
        self.topics = (f"retraining.{row.pk}", *([f"job.{row.job_id}"] if row.job_id else []))

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> RetrainingSource:
        row = retrainings_for(user).filter(pk=key).first() if key.isdecimal() else None
        if row is None:
            raise NotFoundError(f"There is no retraining {key[:40]} for you.", "Check the address.")
        told = query.get("seen", "")
        return cls(row, told if SEEN.fullmatch(told) else "")

    def snapshot(self) -> list[Message]:
        return self.update()

    def update(self) -> list[Message]:
        row = Retraining.objects.select_related("job").filter(pk=self.pk).first()
        if row is None:
            raise NotFoundError("The retraining is gone.", "Go back to the list.")
        now = seen(row)
        if now == self.told:
            return []
        self.told = now
        return [Message("items", now)]

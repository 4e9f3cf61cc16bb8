"""The time limits of a running attempt: on the whole job, on a phase, and on the time without progress."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings

from common.wording import duration
from engine.protocol import Event, FailureCode
from jobs.conclusion import Limited
from jobs.models import Job
from jobs.states import Phase

PROGRESS = frozenset({Event.STEP, Event.EVALUATION, Event.CHECKPOINT, Event.PHASE, Event.PLAN, Event.STARTED})
GO_ON = "Raise the limit, then retry the job: it goes on from its last checkpoint."


class RunClock:
    """Knows since when the attempt runs, is in its phase, and has shown no progress; local, monotonic time."""

    def __init__(self, job: Job, now: float) -> None:
        self.job = job
        self.begun = self.phase_begun = self.progressed = now
        self.spent = job.spent_seconds  # by earlier attempts
        self.phase = str(Phase.PREPARING)
        self.limited: Limited | None = None

    def note(self, event: dict[str, Any]) -> None:
        """Take notice of an event of the trainer."""
        if event["event"] not in PROGRESS:
            return
        self.progressed = time.monotonic()
        if event["event"] == Event.PHASE and event["phase"] != self.phase:
            self.phase, self.phase_begun = event["phase"], self.progressed

    def read_limits(self) -> None:
        """People may change the limits while the job runs."""
        self.job.refresh_from_db(fields=["max_seconds", "phase_seconds", "stall_seconds"])

    def due(self) -> float:
        """The monotonic time at which the first limit will be reached."""
        if self.limited:
            return float("inf")
        return min(moment for moment, _ in self._limits())

    def look(self) -> Limited | None:
        """The limit that is reached now, if any; remembered as `limited`."""
        now = time.monotonic()
        self.limited = next((limited for moment, limited in self._limits() if now >= moment), None)
        return self.limited

    def _limits(self) -> list[tuple[float, Limited]]:
        found = [self._stall()]
        if most := self.job.max_seconds:
            message = f"It has run for {duration(most)}, the longest that it may."
            found.append((self.begun + most - self.spent, Limited(FailureCode.TIME_LIMIT, message, GO_ON)))
        if most := self.job.phase_seconds.get(self.phase):
            message = f"It has been {self.phase} for {duration(most)}, the longest that it may."
            found.append((self.phase_begun + most, Limited(FailureCode.TIME_LIMIT, message, GO_ON)))
        return found

    def _stall(self) -> tuple[float, Limited]:
        most = self.job.stall_seconds or settings.STALL_SECONDS
        message = f"It made no progress for {duration(most)} while {self.phase} and was ended."
        hint = "See the log for what it did last. If its steps are long, raise the stall limit, then retry the job."
        return self.progressed + most, Limited(FailureCode.STALLED, message, hint)

"""One injected fault: a job is started, struck at a random moment, and followed until the hub tells the truth again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from faults.lab import TERMINAL, Lab, Look

LIMIT = 90.0  # seconds after which a job counts as lost
TRIES = 6


class Skip(Exception):
    """This machine does not allow the fault; the text says why."""


@dataclass
class Record:
    """What the fault log holds of a trial."""

    kind: str
    number: int
    seed: str
    at: float = 0.0  # Unix time of the strike
    target: str = ""
    job: int = 0
    truthful: float | None = None  # seconds until the database told the truth
    again: float | None = None  # seconds until the job was on its way again, or had rightly ended
    lost: int | None = None  # steps taken before the strike that were taken again
    recovered: bool = False
    note: str = ""
    skipped: str = ""

    def line(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Trial:
    """The hands with which a kind of fault works. Everything random comes from the trial's own seed."""

    lab: Lab
    record: Record
    smoke: bool = False
    struck: float = 0.0  # monotonic
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.record.seed)

    def anew(self) -> Trial:
        """Forget what was measured: there was nothing left to strike."""
        record = self.record
        record.truthful = record.again = record.lost = None
        record.recovered, record.note = False, ""
        return self

    # Jobs

    def job(self, kind: str = "", **config: Any) -> int:
        """Submit the job that is to be struck: mostly simulated, every third a small real training."""
        kind = kind or self.rng.choice(["simulate", "simulate", "text"])
        name = f"{self.record.kind} {self.record.number}"
        self.record.job = self.lab.submit(kind, self.rng.choice([1, 2]), name, priority=10, **config)
        return self.record.job

    def companion(self) -> int:
        """Another job beside it, so that the queue is never empty."""
        return self.lab.submit("simulate", 3, f"companion of {self.record.kind} {self.record.number}", steps=30)

    def running(self, job: int, holds: Callable[[Look], bool] = lambda look: look.runs) -> Look | None:
        """Wait until a job runs (and `holds`); None when it has ended before."""
        deadline = time.monotonic() + LIMIT
        while True:
            look = self.lab.look(job)
            if look.runs and holds(look):
                return look
            if look.status in TERMINAL:
                return None
            if time.monotonic() > deadline:
                raise AssertionError(f"job {job} does not run after {LIMIT:.0f} s: {look}")
            time.sleep(0.02)

    def caught(self, kind: str = "", **config: Any) -> Look:
        """A job of its own at a random moment of its life: while it prepares, trains, saves or ends."""
        for _ in range(TRIES):
            job = self.job(kind, **config)
            wait = self.rng.uniform(0, 1.6)
            if self.running(job) is None:
                continue
            time.sleep(wait)
            look = self.lab.look(job)
            if look.runs:
                return look
        raise AssertionError(f"no job could be caught while it ran in {TRIES} tries")

    # The strike and what follows

    def strike(self, target: str) -> None:
        """Note the moment; call right before the deed."""
        self.struck, self.record.at, self.record.target = time.monotonic(), time.time(), target

    def since(self) -> float:
        return time.monotonic() - self.struck

    def follow(self, before: Look, *, may_go_on: bool = False, ends: tuple[str, ...] = ("completed",)) -> Look:
        """Watch the struck job until it has ended, and note what the trial measures.

        `may_go_on`: the same attempt may survive, shown by two batches of progress, of which the second was
        begun after the strike. The job is recovered when it ends in one of `ends`.
        """
        record, job = self.record, self.record.job
        reached = before.step
        while True:
            look = self.lab.look(job)
            now = self.since()
            same = look.number == before.number and not look.ended
            over = look.status in TERMINAL
            if same or look.first_step is None:
                reached = max(reached, look.step)
            if record.truthful is None:
                alive = may_go_on and same and look.flushes > before.flushes + 1
                if over or not same or alive:
                    record.truthful = now
            if record.again is None:
                going = look.runs and (look.number > before.number or (may_go_on and look.flushes > before.flushes + 1))
                if over or going:
                    record.again = now
            if record.lost is None and look.number > before.number and look.first_step is not None:
                record.lost = max(0, reached - look.first_step)
            if over:
                record.recovered = look.status in ends
                if not record.recovered:
                    record.note = f"ended as {look.status} {look.failure}".strip()
                if may_go_on and record.lost is None and look.number == before.number:
                    record.lost = 0
                return look
            if now > LIMIT:
                record.note = f"stuck: {look}"
                return look
            time.sleep(0.02)

    def finish(self, job: int) -> Look:
        """Wait until a job has ended."""
        deadline = time.monotonic() + LIMIT
        while (look := self.lab.look(job)).status not in TERMINAL:
            if time.monotonic() > deadline:
                raise AssertionError(f"job {job} has not ended after {LIMIT:.0f} s: {look}")
            time.sleep(0.05)
        return look

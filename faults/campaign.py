"""A campaign: trials in an order drawn from a seed, on a hub that is watched all the while, and a judgement."""

from __future__ import annotations

import json
import random
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from faults.kinds import KINDS
from faults.kinds.registry import Kind
from faults.lab import Lab
from faults.oracle import Scene, Violation, judge
from faults.sampler import Sampler
from faults.trial import Record, Skip, Trial

TOGETHER = 12  # trials of shared kinds in one go
REST_SECONDS = 90.0


@dataclass
class Plan:
    """What is to be done: how many trials of each kind, in an order that the seed alone decides."""

    seed: int
    counts: dict[str, int]

    def order(self) -> list[list[Record]]:
        """Groups of trials: those of one group run side by side, the groups one after another."""
        rng = random.Random(self.seed)
        records = [
            Record(kind, number, f"{self.seed}/{kind}/{number}")
            for kind, count in sorted(self.counts.items())
            for number in range(1, count + 1)
        ]
        rng.shuffle(records)
        shared = [record for record in records if KINDS[record.kind].shared]
        groups = [shared[start : start + TOGETHER] for start in range(0, len(shared), TOGETHER)]
        groups += [[record] for record in records if not KINDS[record.kind].shared]
        rng.shuffle(groups)
        return groups


@dataclass
class Outcome:
    """What a campaign found."""

    records: list[Record] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    jobs: int = 0
    completed: int = 0
    samples: int = 0
    database_samples: int = 0
    seconds: float = 0.0


class Campaign:
    """Runs a plan against a lab."""

    def __init__(self, lab: Lab, plan: Plan, log: Path) -> None:
        self.lab, self.plan, self.log = lab, plan, log
        self.outcome = Outcome()
        self._lock = threading.Lock()

    def run(self) -> Outcome:
        """Open the lab, inject everything, wait for rest, judge, close. Every finding is in the outcome."""
        begun = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        self.lab.open()
        sampler = Sampler(self.lab.machine, self.lab.database.url, self._scene())
        try:
            self._undisturbed()
            sampler.start()
            for group in self.plan.order():
                self._strike(group)
            self._rest()
            self.outcome.violations += judge(self._scene())
            self.outcome.violations += self._strays()
            counts = self.lab.rows("SELECT count(*), count(*) FILTER (WHERE status = 'completed') FROM jobs_job")
            self.outcome.jobs, self.outcome.completed = counts[0]
        finally:
            self.outcome.violations += sampler.stop()
            self.outcome.samples, self.outcome.database_samples = sampler.samples, sampler.database_samples
            self.outcome.violations += self._close()
            self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    def _undisturbed(self) -> None:
        """The twins of all later jobs, which nobody disturbs: their weights and curves are the measure."""
        jobs = [
            self.lab.submit(kind, seed, f"undisturbed {kind} {seed}")
            for kind in ("simulate", "text")
            for seed in (1, 2)
        ]
        for job in jobs:
            self.lab.wait_job(job)

    def _strike(self, group: list[Record]) -> None:
        width = min(len(group), self.lab.slots)
        with ThreadPoolExecutor(width) as threads:
            list(threads.map(self._trial, group))

    def _trial(self, record: Record) -> None:
        kind = KINDS[record.kind]
        try:
            kind.inject(Trial(self.lab, record))
        except Skip as reason:
            record.skipped = str(reason)
        except Exception as error:
            record.note = f"{type(error).__name__}: {error}"[:2000]
            traceback.print_exc()
        with self._lock:
            self.outcome.records.append(record)
            with self.log.open("a") as log:
                log.write(json.dumps(record.line()) + "\n")
            print(_said(kind, record, len(self.outcome.records)), flush=True)

    def _rest(self) -> None:
        """Wait until every job has ended and everything that follows from that is done; what is left is judged."""
        quiet = (
            "SELECT (SELECT count(*) FROM jobs_job WHERE status NOT IN ('completed', 'failed', 'cancelled'))"
            " + (SELECT count(*) FROM jobs_outboxmessage WHERE processed_at IS NULL)"
        )

        def at_rest() -> bool:
            return not self.lab.rows(quiet)[0][0] and not self.lab.machine.trainers() and not self._litter()

        try:
            self.lab.until(at_rest, REST_SECONDS, "the hub to come to rest")
        except (AssertionError, psycopg.Error):
            pass  # the oracle says what has not come to rest

    def _litter(self) -> list[Path]:
        """What sweeps are yet to remove."""
        return [path for pattern in (".trash-*", "*/.tmp-*") for path in (self.lab.home / "jobs").glob(pattern)]

    def _scene(self) -> Scene:
        return Scene(self.lab.rows, self.lab.home, frozenset(self.lab.accepted))

    def _strays(self) -> Iterator[Violation]:
        """Trainers without a job, and processes that belong to nobody."""
        for job, trainers in self.lab.machine.trainers().items():
            yield Violation("no orphan process", f"trainers {trainers} of job {job} live while the hub is at rest")
        database = str(self.lab.database.data)
        for process in self.lab.machine.strays(self.lab.roots()):
            if database not in process.command and not process.name.startswith("postgres"):
                yield Violation("no orphan process", f"{process.pid} {process.name} {process.command[:80]}")

    def _close(self) -> list[Violation]:
        try:
            self.lab.close()
        except AssertionError as error:
            return [Violation("no orphan process", str(error))]
        return []


def _said(kind: Kind, record: Record, number: int) -> str:
    if record.skipped:
        return f"{number:4}  skipped  {kind.title}: {record.skipped}"
    word = "ok  " if record.recovered else "FAIL"
    times = " ".join("-" if value is None else f"{value:6.2f}" for value in (record.truthful, record.again))
    return f"{number:4}  {word} {times}  {record.kind}: {record.target}{'  ' + record.note if record.note else ''}"

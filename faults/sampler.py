"""Ten looks a second, during the whole campaign, for what must not be for a moment: one job run twice."""

from __future__ import annotations

import threading
import time

import psycopg

from faults.machine import Machine
from faults.oracle import Scene, Violation, one_open_attempt_per_job_and_slot

INTERVAL = 0.1


class Sampler:
    """Samples in a thread of its own from `start` to `stop`."""

    def __init__(self, machine: Machine, url: str, scene: Scene) -> None:
        self.machine, self.url, self.scene = machine, url, scene
        self.samples = 0
        self.database_samples = 0
        self.found: dict[str, Violation] = {}
        self._stop = threading.Event()
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> list[Violation]:
        self._stop.set()
        self._thread.join(10)
        return list(self.found.values())

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self._look_at_trainers()
            self._look_at_attempts()
            due = max(due + INTERVAL, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def _look_at_trainers(self) -> None:
        self.samples += 1
        for job, trainers in self.machine.trainers().items():
            if len(trainers) < 2:
                continue
            # One may have ended while the list was made: only those that still live count.
            both = sorted(set(trainers) & set(self.machine.trainers().get(job, [])))
            if len(both) > 1:
                pids = ", ".join(map(str, both))
                self._note("one trainer per job", f"job {job} had the live trainers {pids} at {time.time():.2f}")

    def _look_at_attempts(self) -> None:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self.url, autocommit=True, connect_timeout=2)
            connection = self._connection
            scene = Scene(lambda query, *values: connection.execute(query, values).fetchall(), self.scene.home)
            for found in one_open_attempt_per_job_and_slot(scene):
                self._note("one open attempt per job and slot", found)
            self.database_samples += 1
        except psycopg.Error:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _note(self, invariant: str, evidence: str) -> None:
        self.found.setdefault(evidence.split(" at ")[0], Violation(invariant, f"{evidence} (sampled)"))

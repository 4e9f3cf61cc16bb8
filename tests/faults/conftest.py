"""A database and a disk as a hub at rest leaves them, for tests that then spoil one thing."""

import os
import socket
import time

import pytest
from django.db import connection
from django.utils import timezone

from engine.launch import boot_id, start_time_of
from engine.processes import Ended
from engine.protocol import Event, Exit
from faults.oracle import Scene
from history.recording import record_pending
from jobs import conclusion
from jobs.models import Attempt, Node, Slot
from jobs.progress import ProgressWriter
from jobs.queue import Owner, claim
from tests.world import make_job, make_version

STEPS = 8


def rows(query, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def home(tmp_path, settings):
    for name in ("jobs", "store", "uploads"):
        (tmp_path / name).mkdir()
    settings.TRAINHUB_HOME = tmp_path
    return tmp_path


@pytest.fixture
def scene(owner, home):
    """Two equal jobs: one was interrupted and went on, the other was not; and a version with its files."""
    now = timezone.now()
    node = Node.objects.create(name="n1", host=socket.gethostname(), started_at=now, heartbeat_at=now)
    slot = Slot.objects.create(node=node, index=0, device="cpu", queue="slot.n1.0")
    myself = Owner(socket.gethostname(), boot_id(), os.getpid(), start_time_of(os.getpid()))
    jobs = [make_job(owner, name=name, config={"steps": STEPS}, seed=1) for name in ("interrupted", "undisturbed")]
    attempt = claim(slot, myself)
    report(attempt, 1, 5)
    conclusion.requeue(attempt.job_id, attempt.number, Attempt.Outcome.STOPPED, "Its node stops.")
    for first in (4, 1):
        attempt = claim(slot, myself)
        report(attempt, first, STEPS)
        # What a simulated run leaves is kept by nobody: no row would name it.
        files = [{"name": "config.json", "sha256": "0" * 64, "bytes": 1}]
        ending = {"event": Event.COMPLETED, "metrics": {}, "step": STEPS, "artifact": files}
        conclusion.conclude(attempt.job_id, attempt.number, conclusion.Ending(Ended(Exit.COMPLETED), ending))
    make_version(owner)
    record_pending()
    return Scene(rows, home, frozenset(job.pk for job in jobs))


def report(attempt, first, last):
    """Progress of the steps `first` to `last`, as a supervisor writes it."""
    writer = ProgressWriter(attempt.job, attempt.number)
    if first > 1:
        writer.rewind(first - 1)
    writer.set(total_steps=STEPS)
    for step in range(first, last + 1):
        metrics = {"train/loss": 1 / step}
        writer.step({"event": "step", "step": step, "epoch": 0, "time": time.time(), "metrics": metrics, "rate": 1.0})
    writer.log(f"Steps {first} to {last}.")
    writer.flush()

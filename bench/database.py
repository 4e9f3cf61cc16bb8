"""Progress rows per second of one supervisor, and a chart of a metric with a million points."""

from __future__ import annotations

import time

from bench import scratch
from bench.report import line

ROWS = 1_000_000
BATCH = 5_000


def main() -> None:
    print("\n## Database", flush=True)
    with scratch.database():
        _measure()


def _measure() -> None:
    from django.db import connection

    job, writer = _running_job()
    started = time.perf_counter()
    events = 0
    while events < ROWS:
        now = time.time()
        for _ in range(BATCH):
            events += 1
            metrics = {"train/loss": 2.0 + (events * 7919 % 1000) / 1000}
            writer.step({"step": events, "epoch": 0.1, "time": now, "metrics": metrics, "rate": 1.0})
        writer.flush()
    rate = ROWS / (time.perf_counter() - started)
    line("progress rows per second, one supervisor", f"{rate:,.0f}", "50,000")
    connection.close()

    from django.test import Client

    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(job.owner)
    address = f"/api/v1/training/jobs/{job.pk}/metrics?name=train/loss&max_points=1000"
    client.get(address)
    times = []
    for _ in range(7):
        started = time.perf_counter()
        answer = client.get(address)
        times.append(time.perf_counter() - started)
    assert answer.json()["total_points"] == ROWS, answer.content[:300]
    points = len(answer.json()["points"])
    line(f"chart of {ROWS:,} points ({points} sent)", f"{sorted(times)[3] * 1000:.0f} ms", "300 ms")
    connection.close()


def _running_job() -> tuple[object, object]:
    from django.contrib.auth import get_user_model
    from django.utils import timezone

    from jobs.creation import create_job
    from jobs.models import Job, Node, Slot
    from jobs.progress import ProgressWriter
    from jobs.queue import Owner, claim

    owner = get_user_model().objects.create_superuser("bench", "", "correct horse battery")
    now = timezone.now()
    node = Node.objects.create(name="bench", host="bench", started_at=now, heartbeat_at=now)
    slot = Slot.objects.create(node=node, index=0, device="cpu", queue="bench")
    create_job(owner, recipe="simulate")
    attempt = claim(slot, Owner("elsewhere", "", 1, 1))
    assert attempt
    job = Job.objects.select_related("owner").get(pk=attempt.job_id)
    return job, ProgressWriter(job, attempt.number)

"""Fifty runs of a hundred thousand points side by side: server time of the page, the API and the curves."""

from __future__ import annotations

import time
from typing import Any

from bench import scratch
from bench.report import line, spread

RUNS = 50
POINTS = 100_000
REPEATS = 20
METRICS = ("train/loss", "validation/loss", "validation/accuracy")

SERIES = "INSERT INTO jobs_metricseries (job_id, name) SELECT unnest(%s::bigint[]), %s"
# A falling curve with noise that is the same each time, ten steps a second.
ROWS = """
INSERT INTO jobs_progressrow (series_id, step, value, recorded_at)
SELECT series.id, step, exp(-step / 40000.0) + (step * 7919 + series.id * 31) %% 1000 / 2000.0,
    job.started_at + step * interval '100 milliseconds'
FROM jobs_metricseries AS series JOIN jobs_job AS job ON job.id = series.job_id, generate_series(1, %s) AS step
WHERE series.id = %s
"""


def main() -> None:
    print("\n## Comparing", flush=True)
    with scratch.database():
        _measure()


def _measure() -> None:
    from django.db import connection
    from django.test import Client

    owner, jobs = _filled()
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(owner)
    chosen = "runs=" + ",".join(map(str, jobs))
    curves = f"/api/v1/training-history/compare/curves?{chosen}&metric=train/loss"
    for name, address in {
        "the page": f"/history/compare?{chosen}",
        "the differences by the API": f"/api/v1/training-history/compare?{chosen}",
        "curves over steps, as the page draws them": f"{curves}&max_points=240",
        "curves over time at work": f"{curves}&max_points=240&x=time",
        "curves of 1,000 points each": f"{curves}&max_points=1000",
        "the page of two runs": f"/history/compare?runs={jobs[0]},{jobs[1]}",
        "curves of two runs, 1,000 points each": f"/api/v1/training-history/compare/curves?runs={jobs[0]},{jobs[1]}"
        "&metric=train/loss&max_points=1000",
    }.items():
        line(f"{RUNS} runs × {POINTS:,} points: {name}" if "two" not in name else name, _times(client, address), "1 s")
    connection.close()


def _times(client: Any, address: str) -> str:
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        answer = client.get(address)
        times.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.content[:300]
    return spread(times[1:])


def _filled() -> tuple[Any, list[int]]:
    """Runs that differ in a few settings, with their rows and summaries put there by SQL."""
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.utils import timezone

    from engine.catalogue import config_class
    from jobs.models import Attempt, Job, MetricSeries
    from jobs.progress import _SUMMARISE

    owner = get_user_model().objects.create_superuser("bench", "bench@example.org", "benchmarks only")
    now = timezone.now()
    started = now - timezone.timedelta(seconds=POINTS / 10)
    config = config_class("text-generation")().model_dump(mode="json")
    jobs = Job.objects.bulk_create(
        Job(
            owner=owner, name=f"Run {number}", recipe="text-generation", status="completed", seed=number % 3,
            config=config | {"learning_rate": 0.001 * (number + 1), "width": 64 * (number % 4 + 1)},
            metrics={"validation/loss": 1 + number / 100}, started_at=started, completed_at=now, attempt_number=1,
            spent_seconds=POINTS / 10, current_step=POINTS, total_steps=POINTS,
            environment={"python": "3.11", "torch": "2.13", "device": "cpu", "libraries": {"numpy": "2.4"}},
        )
        for number in range(RUNS)
    )  # fmt: skip
    Attempt.objects.bulk_create(
        Attempt(
            job=job, number=1, host="bench", boot_id="b", supervisor_pid=1, supervisor_start=1, started_at=started,
            lease_until=now, ended_at=now, outcome="completed", devices=["cpu"],
        )
        for job in jobs
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for metric in METRICS:
            cursor.execute(SERIES, [[job.pk for job in jobs], metric])
        for key in MetricSeries.objects.filter(name="train/loss").values_list("pk", flat=True):
            cursor.execute(ROWS, [POINTS, key])
        for key in MetricSeries.objects.exclude(name="train/loss").values_list("pk", flat=True):
            cursor.execute(ROWS, [400, key])
        cursor.execute(_SUMMARISE, [list(MetricSeries.objects.values_list("pk", flat=True)), 0])
        cursor.execute("VACUUM (ANALYZE) jobs_progressrow, jobs_progresssummary, jobs_metricseries, jobs_job")
    return owner, [job.pk for job in jobs]


if __name__ == "__main__":
    main()

"""Runs to compare: jobs that have ended, with curves, put there without a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from jobs.models import Attempt, Job, MetricSeries
from jobs.progress import copy_rows
from tests.world import make_job

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def ended(owner, name="Run", *, curves=None, seconds=60.0, status="completed", **columns):
    """A job that ran for so many seconds; `curves` maps a metric to its values, one a step and second."""
    recipe = columns.get("recipe", "simulate")
    job = make_job(owner, name=name)
    code = {"failure_code": "error"} if status == "failed" else {}
    given = {
        "recipe": recipe, "status": status, "started_at": START, "spent_seconds": seconds,
        "completed_at": START + timedelta(seconds=seconds), "attempt_number": 1, **code, **columns,
    }  # fmt: skip
    Job.objects.filter(pk=job.pk).update(**given)
    attempt(job, 1, START, seconds)
    for metric, values in (curves or {}).items():
        report(job, metric, values)
    job.refresh_from_db()
    return job


def attempt(job, number, start, seconds, **more):
    end = start + timedelta(seconds=seconds)
    return Attempt.objects.create(
        job=job, number=number, host="h", boot_id="b", supervisor_pid=1, supervisor_start=1, started_at=start,
        lease_until=end, ended_at=end, outcome="completed", devices=["cpu"], **more,
    )  # fmt: skip


def report(job, metric, values, start=START, first=1):
    """A curve as a worker writes it: a value for each step, a second apart."""
    series, _ = MetricSeries.objects.get_or_create(job=job, name=metric)
    begun = start.timestamp()
    copy_rows([(series.pk, first + n, value, begun + n + 1) for n, value in enumerate(values)])

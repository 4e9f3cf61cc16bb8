"""A model that can be trained again: a line of the simulator with a version that a job made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from jobs.models import Job
from performance.models import DriftCheck, MetricRecord
from registry.models import Alias, Model, ModelVersion
from tests.world import make_job, make_version


def make_line(owner, name: str = "Turbines", *, named: bool = True, **job: Any) -> Model:
    """A model whose champion was made by a job that has ended."""
    made = make_job(owner, name=name, **job)
    version = make_version(owner, name, recipe=made.recipe, source_job_id=made.pk, config=made.config)
    Job.objects.filter(pk=made.pk).update(status="completed", completed_at=timezone.now(), model_version=version)
    if named:
        Alias.objects.create(model=version.model, name="champion", version=version, since=timezone.now())
    return version.model


def end(job: Job, *, metrics: dict[str, float] | None = None, **columns: Any) -> ModelVersion | None:
    """A job's end, as a supervisor leaves it; with its version when it completed."""
    version = None
    if columns.setdefault("status", "completed") == "completed":
        version = make_version(
            job.owner, job.name, recipe=job.recipe, model=job.model, source_job_id=job.pk, metrics=metrics,
            dataset_version=job.dataset_version, config=job.config,
        )  # fmt: skip
    Job.objects.filter(pk=job.pk).update(completed_at=timezone.now(), model_version=version, **columns)
    return version


def drift_check(model: Model, moved: bool = True, about: str = "inputs") -> DriftCheck:
    now = timezone.now()
    return DriftCheck.objects.create(
        model=model, about=about, recent_from=now, recent_until=now, status="completed", moved=moved, finished_at=now,
        message="'speed' moved.", findings=[{"column": "speed"}],
    )  # fmt: skip


def figure(version: ModelVersion, value: float, name: str = "accuracy", count: int = 100, **more: Any) -> MetricRecord:
    """Of one hour of use after another."""
    hours = MetricRecord.objects.filter(version=version, source="logged").count()
    since = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)
    given = {"since": since, "recorded_at": since + timedelta(hours=1), "bucket": "hour", "source": "logged"}
    given |= {"count": count} | more
    return MetricRecord.objects.create(model=version.model, version=version, name=name, value=value, **given)

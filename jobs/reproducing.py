"""Training a version again, to see whether the very same comes out: figures side by side, weights bit for bit.

The run makes no version and keeps no files: their SHA-256 tell all. It belongs to no line of models and to no subject,
so it waits for no other job of these, and none waits for it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from accounts import audit
from common.errors import ConflictError
from common.numbers import finite
from common.push import publish
from common.revision import revision
from jobs import creation
from jobs.models import Job, Reproduction
from jobs.repeating import Figure, Other, noted
from jobs.states import ACTIVE
from registry.access import require_owner
from registry.models import ModelVersion

REPORT = "report.json"


def reproduce(version: ModelVersion, by: AbstractBaseUser) -> Reproduction:
    """Have the job that made a version run once more: same recipe, settings, data version, base, seed and kind of
    device. Asked again while it has not ended, it is the same one.

    ConflictError when no job made the version, or its files are gone; and as `creation.create_job` raises.
    """
    require_owner(by, version.model, "reproduce versions")
    with transaction.atomic():
        # Two who ask at once wait here for each other.
        ModelVersion.objects.select_for_update(no_key=True, of=("self",)).get(pk=version.pk)
        if known := Reproduction.objects.filter(version=version, job__status__in=ACTIVE).first():
            return known
        job = _source(version)
        made, _ = creation.create_job(
            by, recipe=job.recipe, config=job.config, seed=job.seed, dataset_version=job.dataset_version,
            base_version=job.base_version, resources=job.resources, name=f"Reproduction of {version}"[:200],
            max_seconds=job.max_seconds, phase_seconds=job.phase_seconds, stall_seconds=job.stall_seconds, alone=False,
        )  # fmt: skip
        audit.write(by, "asked to reproduce", version, job=made.pk)
        return Reproduction.objects.create(version=version, job=made, asked_by=by)


def why_not(version: ModelVersion) -> str:
    """Why a version can't be reproduced, in a sentence; '' when it can."""
    if version.source_job_id is None:
        return f"No job made {version}: it was merged, or registered from elsewhere."
    if not version.artifact:
        return f"{version} has no files to compare with."
    return ""


def is_one(job: Job) -> bool:
    """Whether a job only reproduces a version, so that it makes none."""
    return Reproduction.objects.filter(job=job).exists()


def note_end(job: Job, files: list[dict[str, Any]], metrics: dict[str, Any], environment: dict[str, Any]) -> None:
    """Put down what came out, in the transaction that completes the job. For any other job nothing is done."""
    row = Reproduction.objects.select_related("version").filter(job=job, result__isnull=True).first()
    if row is None:
        return
    result = compared(row.version, files, metrics, environment)
    Reproduction.objects.filter(pk=row.pk, result__isnull=True).update(
        result=finite(result),
        same_metrics=all(figure["before"] == figure["after"] for figure in result["metrics"]),
        same_weights=bool(result["weights"]) and not set(result["weights"]) & set(result["different_files"]),
    )
    publish(f"version.{row.version_id}")


def compared(
    version: ModelVersion, files: list[dict[str, Any]], metrics: dict[str, Any], environment: dict[str, Any]
) -> dict[str, Any]:
    """Metrics of both, the names of files that differ by their SHA-256, which of the files hold the weights, and what
    was otherwise: libraries, device, TrainHub's own code."""
    own = {name: value for name, value in metrics.items() if not name.startswith("best/")}
    names = dict.fromkeys([*version.metrics, *own])
    before = {file["name"]: file["sha256"] for file in version.artifact}
    after = {file["name"]: file["sha256"] for file in files}
    different = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    weights = [name for name in before if PurePath(name).suffix == ".safetensors"]
    return {
        "metrics": [asdict(Figure(name, version.metrics.get(name), own.get(name))) for name in names],
        "files": len(before | after),
        "different_files": different,
        "weights": weights or [name for name in before if name != REPORT],
        "others": [asdict(other) for other in _others(version, environment)],
    }


def _others(version: ModelVersion, environment: dict[str, Any]) -> list[Other]:
    before, after = noted(version.environment), noted(environment)
    before |= {f"TrainHub's {name}": str(value) for name, value in version.code.items() if value}
    after |= {f"TrainHub's {name}": str(value) for name, value in revision().items() if value}
    return [Other(name, value, after[name]) for name, value in before.items() if after.get(name, value) != value]


def _source(version: ModelVersion) -> Job:
    if reason := why_not(version):
        raise ConflictError(reason, "Choose a version with files that a job trained.")
    related = ("dataset_version", "base_version__model")
    job = Job.objects.select_related(*related).filter(pk=version.source_job_id).first()
    if job is None:
        raise ConflictError(f"The job that made {version} is gone.", "Train again with the settings that it shows.")
    return job

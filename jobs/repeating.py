"""Running a finished job again exactly, and comparing what came of both."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from common.errors import ConflictError
from jobs import creation
from jobs.lifecycle import record
from jobs.models import Job
from jobs.states import TERMINAL, Status

KIND = "repeats"  # the event of a job that runs another one again


@dataclass(frozen=True)
class Figure:
    """A figure of both runs."""

    name: str
    before: float | None
    after: float | None

    @property
    def same(self) -> bool:
        return self.before == self.after


@dataclass(frozen=True)
class Other:
    """What was otherwise where the second one ran."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} {self.before}, now {self.after}"


@dataclass(frozen=True)
class Comparison:
    """A job beside the one that it runs again. Files are told by their SHA-256; `files` names those that differ."""

    earlier: Job
    others: list[Other]
    figures: list[Figure]
    files: list[str]
    file_count: int

    @property
    def same_figures(self) -> bool:
        return all(figure.same for figure in self.figures)

    @property
    def same_files(self) -> bool:
        return not self.files and self.file_count > 0

    def shown(self) -> dict[str, Any]:
        """As the API gives it."""
        figures = [{"name": f.name, "before": f.before, "after": f.after, "same": f.same} for f in self.figures]
        return {
            "earlier": self.earlier.pk, "metrics": figures, "same_metrics": self.same_figures,
            "files": self.file_count, "different_files": self.files, "same_files": self.same_files,
            "different_environment": [asdict(other) for other in self.others],
        }  # fmt: skip


def again(job: Job, user: AbstractBaseUser) -> Job:
    """A new job with the same recipe, settings, seed, data version and base. ConflictError while the job has not
    ended, and as `creation.create_job` raises."""
    if job.status not in TERMINAL:
        raise ConflictError(f"'{job.name}' has not ended.", "Wait until it has, or copy it as a new job.")
    with transaction.atomic():
        made, _ = creation.create_job(
            user, recipe=job.recipe, config=job.config, seed=job.seed, dataset_version=job.dataset_version,
            base_version=job.base_version, save_to=job.save_to, subject=job.subject, model=_model(job),
            resources=job.resources,
            name=job.name, max_seconds=job.max_seconds, phase_seconds=job.phase_seconds,
            stall_seconds=job.stall_seconds, preemptible=job.preemptible,
        )  # fmt: skip
        record(made, KIND, actor=user, message=f"Runs job {job.pk} again, exactly.", details={"job": job.pk})
    return made


def earlier_of(job: Job) -> Job | None:
    """The job that this one runs again; None for any other."""
    event = job.events.filter(kind=KIND).first()
    return Job.objects.select_related("model_version").filter(pk=event.details.get("job")).first() if event else None


def comparison(job: Job) -> Comparison | None:
    """Both results side by side, once both have completed."""
    earlier = earlier_of(job) if job.status == Status.COMPLETED else None
    if earlier is None or earlier.status != Status.COMPLETED:
        return None
    names = dict.fromkeys([*earlier.metrics, *job.metrics])
    figures = [Figure(name, earlier.metrics.get(name), job.metrics.get(name)) for name in names]
    before, after = _files(earlier), _files(job)
    different = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return Comparison(earlier, _others(earlier, job), figures, different, len(before | after))


def _others(earlier: Job, job: Job) -> list[Other]:
    """Of what both have noted down. Jobs of old say less of their libraries."""
    before, after = noted(earlier.environment), noted(job.environment)
    return [Other(name, before[name], after[name]) for name in before if before[name] != after.get(name, before[name])]


def noted(environment: dict[str, Any]) -> dict[str, str]:
    """What a run noted down of where it ran, libraries among it, each by its name."""
    said = {name: value for name, value in environment.items() if name != "libraries"}
    said |= dict(sorted((environment.get("libraries") or {}).items()))
    return {name: str(value) for name, value in said.items() if value is not None}


def _model(job: Job) -> Any:
    """The line that the result goes to: that of the first one's."""
    return job.model or (job.model_version.model if job.model_version else None)


def _files(job: Job) -> dict[str, str]:
    return {file["name"]: file["sha256"] for file in job.model_version.artifact} if job.model_version else {}

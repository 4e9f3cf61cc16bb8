"""Words for a request that another active job stands in the way of."""

from __future__ import annotations

from common.errors import ConflictError
from datasets.models import Subject
from jobs.models import Job
from jobs.states import ACTIVE
from registry.models import Model


def busy(model: Model | None, subject: Subject | None, recipe: str) -> ConflictError:
    """Which job is in the way, what it does, and where to look."""
    in_the_way = Job.objects.filter(status__in=ACTIVE)
    job, what = None, ""
    if model:
        job, what = in_the_way.filter(model=model).first(), f"the model '{model.name}'"
    if subject and job is None:
        job, what = in_the_way.filter(subject=subject, recipe=recipe).first(), f"the subject '{subject.name}'"
    if job is None:
        return ConflictError("Another request was faster.", "Send the request again.")
    return ConflictError(
        f"Job {job.pk} '{job.name}' is {job.status} for {what}; only one at a time is allowed.",
        f"Wait for it, or cancel it: see /jobs/{job.pk}.",
        job=job.pk,
        job_status=job.status,
        see=f"/jobs/{job.pk}",
    )

"""What a model made on the way, as the trainer reported it: texts and pictures, the latest few of each job."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from common.errors import InvalidInputError, NotFoundError
from common.wording import storable
from jobs.models import Job, JobSample
from registry.reports import picture_type

KEPT = 8
MAX_TEXT = 4000
MAX_PICTURE = 512 * 1024
PICTURE = "image"


def read(event: dict[str, Any]) -> dict[str, Any]:
    """The columns of a sample, from its event. InvalidInputError for a picture that is none, or too large a one."""
    step, text = int(event["step"]), str(event["text"])
    if event.get("kind") != PICTURE:
        return {"step": step, "kind": JobSample.Kind.TEXT, "text": storable(text)[:MAX_TEXT], "data": None}
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if picture_type(data) is None:
        raise InvalidInputError("The sample is no picture.", "Samples are PNG or JPEG files in base64.")
    if len(data) > MAX_PICTURE:
        raise InvalidInputError("The sample is larger than 512 KiB.", "Make smaller pictures, or JPEG ones.")
    return {"step": step, "kind": JobSample.Kind.IMAGE, "text": "", "data": data}


def in_words(sample: dict[str, Any]) -> str:
    """A sample as the job itself keeps it: the text, or that there is a picture."""
    return sample["text"] if sample["data"] is None else f"A picture at step {sample['step']:,}."


def write(job_id: int, samples: Iterable[dict[str, Any]]) -> None:
    """Keep these, and of all that the job has the latest few. A step that is taken again replaces its sample."""
    latest = {sample["step"]: sample for sample in samples}  # one statement can't write a row twice
    if not latest:
        return
    JobSample.objects.bulk_create(
        [JobSample(job_id=job_id, at=Now(), **sample) for sample in latest.values()],
        update_conflicts=True,
        unique_fields=["job", "step"],
        update_fields=["kind", "text", "data", "at"],
    )
    rows = JobSample.objects.filter(job_id=job_id)
    rows.exclude(pk__in=rows.order_by("-step").values("pk")[:KEPT]).delete()


def listed(job: Job) -> QuerySet[JobSample]:
    """The job's samples, newest first, without the bytes of pictures."""
    return job.samples.defer("data").order_by("-step")


def picture(job: Job, step: int) -> tuple[bytes, str]:
    """The picture that was made at a step, and its content type; NotFoundError when there is none."""
    row = job.samples.filter(step=step, kind=JobSample.Kind.IMAGE).first()
    data = bytes(row.data) if row and row.data else b""
    kind = picture_type(data)
    if kind is None:
        raise NotFoundError(f"There is no picture of step {step:,}.", f"The latest {KEPT} samples of a job are kept.")
    return data, kind

"""Jobs on the API: made, listed, changed and watched. What can be asked of them is in `jobs.control_api`."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import downloads
from common.access import get_visible, visible
from common.by_id import ById
from common.downloads import download
from common.errors import InvalidInputError
from common.pagination import Pages
from common.parsers import check_text
from common.serializers import Input
from datasets.models import Dataset, DatasetVersion, Subject
from jobs import control, creation, lineage, logs, metrics, overview, repeating, samples, waiting
from jobs.filters import JobFilter
from jobs.inputs import (
    JobChangeInput,
    LogsQuery,
    MetricsQuery,
    NewJobInput,
    StatusQuery,
)
from jobs.models import Attempt, Checkpoint, GeneratedExample, Job, JobEvent, JobSample
from jobs.serializers import (
    AttemptSerializer,
    CheckpointSerializer,
    CurveSerializer,
    EventSerializer,
    ExampleSerializer,
    JobComparedSerializer,
    JobSerializer,
    LogLineSerializer,
    LogSerializer,
    PointSerializer,
    SampleSerializer,
)
from registry.models import Model, ModelVersion

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Any text of up to 200 characters. The same key and request give the same job again, with 200.",
)
TAGS = ["training jobs"]

# What a request may point at: body field → rows, path to their owner.
PARTS: dict[str, tuple[Any, str]] = {
    "dataset": (Dataset.objects, "owner"),
    "dataset_version": (DatasetVersion.objects.select_related("dataset__subject"), "dataset__owner"),
    "subject": (Subject.objects, "owner"),
    "model": (Model.objects, "owner"),
    "base_version": (ModelVersion.objects, "model__owner"),
    "save_to": (Dataset.objects, "owner"),
}


def listed() -> Any:
    """Jobs with what their JSON needs, in one query."""
    return Job.objects.select_related("owner", "dataset_version").defer("owner__password")


def find(request: Request, job_id: int) -> Job:
    """The job, if it exists for the one who asks; else NotFoundError."""
    return get_visible(listed(), request.user, pk=job_id)


def shown(job: Job) -> dict[str, Any]:
    """A job's JSON, read again so that it is what the database says now."""
    return JobSerializer(listed().get(pk=job.pk)).data


def idempotency_key(request: Request) -> str:
    """The request's Idempotency-Key, empty when it has none; InvalidInputError when it can't be kept."""
    key = request.headers.get("Idempotency-Key", "").strip()
    try:
        check_text(key)
        too_long = len(key) > 200
    except ValueError:
        too_long = True
    if too_long:
        raise InvalidInputError(
            "The Idempotency-Key can't be used.", "Send up to 200 printable characters, such as a UUID."
        )
    return key


class JobPages(Pages):
    django_paginator_class = ById


class JobsView(generics.ListAPIView):
    serializer_class = JobSerializer
    pagination_class = JobPages
    filterset_class = JobFilter

    def get_queryset(self) -> Any:
        return visible(listed(), self.request.user)

    @extend_schema(operation_id="training_jobs_list", tags=TAGS, summary="Jobs, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_jobs_create",
        tags=TAGS,
        summary="Start a job",
        parameters=[IDEMPOTENCY_KEY],
        request=NewJobInput,
        responses={
            201: JobSerializer,
            200: OpenApiResponse(JobSerializer, "The job that the same key made before."),
        },
        filters=False,
    )
    def post(self, request: Request) -> Response:
        given = NewJobInput.read(request.data)
        key = idempotency_key(request)
        for field, (rows, owner) in PARTS.items():
            if given.get(field) is not None:
                given[field] = get_visible(rows.all(), request.user, owner, pk=given[field])
        given["after"] = waiting.jobs_named(request.user, given.get("after", []))
        job, created = creation.create_job(request.user, **given, idempotency_key=key)
        return Response(shown(job), status=201 if created else 200)


class JobView(APIView):
    @extend_schema(operation_id="training_jobs_get", tags=TAGS, summary="One job", responses=JobSerializer)
    def get(self, request: Request, job_id: int) -> Response:
        return Response(JobSerializer(find(request, job_id)).data)

    @extend_schema(
        operation_id="training_jobs_change",
        tags=TAGS,
        summary="Rename a job, change its priority or limits of time, or let it give way",
        request=JobChangeInput,
        responses=JobSerializer,
    )
    def patch(self, request: Request, job_id: int) -> Response:
        job = find(request, job_id)
        return Response(shown(control.change(job, request.user, **JobChangeInput.read(request.data))))


class PollView(APIView):
    @extend_schema(
        operation_id="training_jobs_poll",
        tags=TAGS,
        summary="A job as it is now",
        request=None,
        responses=JobSerializer,
    )
    def post(self, request: Request, job_id: int) -> Response:
        Input.read(request.data)
        return Response(JobSerializer(find(request, job_id)).data)


class MetricsView(APIView):
    @extend_schema(
        operation_id="training_jobs_metrics",
        tags=TAGS,
        summary="A metric over the steps, or which metrics there are",
        description="`format=csv` gives every point, whatever `max_points` says; without a name that of all metrics, a "
        "column each.",
        parameters=[MetricsQuery],
        responses=CurveSerializer,
    )
    def get(self, request: Request, job_id: int) -> HttpResponseBase:
        job = find(request, job_id)
        asked = MetricsQuery.read(request.query_params)
        if asked["format"] == "csv":
            name = asked["name"]
            rows = metrics.export(job, name) if name else metrics.export_all(job)
            file = f"job-{job.pk}-metric{'' if name else 's'}.csv"
            return download(request._request, rows, "text/csv; charset=utf-8", file)
        if not asked["name"]:
            return Response({"names": metrics.names(job)})
        curve = metrics.read(
            job,
            asked["name"],
            from_step=asked["from_step"],
            to_step=asked["to_step"],
            max_points=asked["max_points"],
        )
        points = PointSerializer(curve.points, many=True).data
        return Response({"name": curve.name, "points": points, "total_points": curve.total_points})


class LogsView(APIView):
    @extend_schema(
        operation_id="training_jobs_logs",
        tags=TAGS,
        summary="What a job wrote",
        description="`format=text` gives all lines as a file.",
        parameters=[LogsQuery],
        responses=LogSerializer,
    )
    def get(self, request: Request, job_id: int) -> HttpResponseBase:
        job = find(request, job_id)
        asked = LogsQuery.read(request.query_params)
        if asked["format"] == "text":
            return download(request._request, logs.export(job), "text/plain; charset=utf-8", f"job-{job.pk}.log")
        lines = logs.read(job, after=asked["after"], limit=asked["limit"], search=asked["search"], level=asked["level"])
        return Response(
            {
                "lines": LogLineSerializer(lines, many=True).data,
                "next_after": lines[-1].number if lines else asked["after"],
                "total_lines": job.log_lines,
            }
        )


class EventsView(generics.ListAPIView):
    serializer_class = EventSerializer
    queryset = JobEvent.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        job = find(self.request, self.kwargs["job_id"])
        return job.events.select_related("actor").defer("actor__password").order_by("sequence")

    @extend_schema(operation_id="training_jobs_events", tags=TAGS, summary="Who did what to a job, and when")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class AttemptsView(generics.ListAPIView):
    serializer_class = AttemptSerializer
    queryset = Attempt.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return find(self.request, self.kwargs["job_id"]).attempts.select_related("slot__node").order_by("number")

    @extend_schema(operation_id="training_jobs_attempts", tags=TAGS, summary="Each time that a worker took it up")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CheckpointsView(generics.ListAPIView):
    serializer_class = CheckpointSerializer
    queryset = Checkpoint.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return find(self.request, self.kwargs["job_id"]).checkpoints.order_by("-step")

    @extend_schema(operation_id="training_jobs_checkpoints", tags=TAGS, summary="A job's checkpoints, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ExamplesView(generics.ListAPIView):
    serializer_class = ExampleSerializer
    queryset = GeneratedExample.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return find(self.request, self.kwargs["job_id"]).examples.order_by("-step")

    @extend_schema(
        operation_id="training_jobs_examples",
        tags=TAGS,
        summary="What a job that generates has made, newest first",
        description="Each with all candidates, their scores and the judge's reasons.",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class SamplesView(generics.ListAPIView):
    serializer_class = SampleSerializer
    queryset = JobSample.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return samples.listed(find(self.request, self.kwargs["job_id"]))

    @extend_schema(
        operation_id="training_jobs_samples",
        tags=TAGS,
        summary="What a job's model made on the way, newest first",
        description=f"The latest {samples.KEPT} are kept. The file of a picture has an address of its own.",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class SampleView(APIView):
    @extend_schema(
        operation_id="training_jobs_sample",
        tags=TAGS,
        summary="A picture that a job's model made at a step",
        responses={(200, "image/png"): OpenApiTypes.BINARY, (200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, job_id: int, step: int) -> HttpResponseBase:
        return downloads.picture(*samples.picture(find(request, job_id), step))


class AgainView(APIView):
    @extend_schema(
        operation_id="training_jobs_again",
        tags=TAGS,
        summary="Run a job that has ended again, exactly",
        description="With the same recipe, settings, seed, data version and base. Its comparison tells of both.",
        request=None,
        responses={201: JobSerializer},
    )
    def post(self, request: Request, job_id: int) -> Response:
        Input.read(request.data)
        return Response(shown(repeating.again(find(request, job_id), request.user)), status=201)


class ComparisonView(APIView):
    @extend_schema(
        operation_id="training_jobs_comparison",
        tags=TAGS,
        summary="A job beside the one that it runs again",
        responses=JobComparedSerializer,
    )
    def get(self, request: Request, job_id: int) -> Response:
        found = repeating.comparison(find(request, job_id))
        return Response({"comparison": found.shown() if found else None})


class LineageView(APIView):
    @extend_schema(
        operation_id="training_jobs_lineage",
        tags=TAGS,
        summary="Where a job's data and model come from, and what came of it",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, job_id: int) -> Response:
        return Response(lineage.lineage(find(request, job_id)))


class ActiveView(generics.ListAPIView):
    serializer_class = JobSerializer
    queryset = Job.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return overview.active_jobs(self.request.user).defer("owner__password")

    @extend_schema(operation_id="training_active", tags=TAGS, summary="Jobs that have not ended")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class StatusView(APIView):
    @extend_schema(
        operation_id="training_status",
        tags=TAGS,
        summary="The status of one job",
        parameters=[StatusQuery],
        responses=JobSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(JobSerializer(find(request, StatusQuery.read(request.query_params)["job_id"])).data)

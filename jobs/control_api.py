"""What can be asked of jobs on the API, one by one and many at once, and the queue in its order."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import visible
from common.serializers import Input
from jobs import batch, control
from jobs.api import TAGS, find, listed, shown
from jobs.inputs import (
    CancelInput,
    MoveInput,
    QueueInput,
)
from jobs.models import Job
from jobs.places import Move, move_in_queue
from jobs.queue import ready
from jobs.serializers import (
    JobDoneSerializer,
    QueuedJobSerializer,
    QueueDoneSerializer,
)


class CancelView(APIView):
    @extend_schema(
        operation_id="training_jobs_cancel",
        tags=TAGS,
        summary="Cancel a job",
        description="A running job is asked, and ends at its next safe point; see `request` and `status`.",
        request=CancelInput,
        responses=JobDoneSerializer,
    )
    def post(self, request: Request, job_id: int) -> Response:
        job = find(request, job_id)
        reason = CancelInput.read(request.data)["reason"]
        return Response({"success": True, "job": shown(control.cancel(job, request.user, reason))})


def _verb_view(name: str, summary: str, description: str = "") -> type[APIView]:
    """The door of a verb that takes nothing but the job."""

    class VerbView(APIView):
        @extend_schema(
            operation_id=f"training_jobs_{name}",
            tags=TAGS,
            summary=summary,
            description=description,
            request=None,
            responses=JobDoneSerializer,
        )
        def post(self, request: Request, job_id: int) -> Response:
            job = find(request, job_id)
            Input.read(request.data)
            job = control.VERBS[name](job, request.user)
            return Response({"success": True, "job": shown(job)})

    return VerbView


PauseView = _verb_view("pause", "Pause a job at its next checkpoint")
ResumeView = _verb_view("resume", "Go on with a paused job")
RetryView = _verb_view("retry", "Run a failed or cancelled job again")
CheckpointView = _verb_view(
    "checkpoint",
    "Let a running job save a checkpoint now",
    "It is asked, and goes on after it has saved; see `request`, and the new checkpoint in `…/checkpoints`.",
)
StartNowView = _verb_view(
    "start_now",
    "Let a pending job wait no longer",
    "It goes to the queue, whatever time or other jobs it was to wait for.",
)


class MoveView(APIView):
    @extend_schema(
        operation_id="training_jobs_move",
        tags=TAGS,
        summary="Move a queued job up, down or to the top of its priority",
        description="Among your own jobs, which take each other's places; an administrator moves it among everyone's.",
        request=MoveInput,
        responses=JobDoneSerializer,
    )
    def post(self, request: Request, job_id: int) -> Response:
        job = find(request, job_id)
        where = Move(MoveInput.read(request.data)["where"])
        return Response({"success": True, "job": shown(move_in_queue(job, request.user, where))})


class QueueView(generics.ListAPIView):
    serializer_class = QueuedJobSerializer
    queryset = Job.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return visible(ready(listed()), self.request.user)

    @extend_schema(
        operation_id="training_queue",
        tags=TAGS,
        summary="Queued jobs in the order in which workers take them",
        description="Your own, each with its place among everyone's and what it waits for.",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_queue_act",
        tags=TAGS,
        summary="One action on one or many jobs",
        description=(
            "Jobs that can't do it are refused in words and the others do it all the same, so the answer is 200 "
            "also when some or all are refused. A job that is not yours is refused as one that does not exist."
        ),
        request=QueueInput,
        responses=QueueDoneSerializer,
    )
    def post(self, request: Request) -> Response:
        given = QueueInput.read(request.data)
        result = batch.act(
            request.user, given["action"], given["ids"], value=given.get("value"), reason=given["reason"]
        )
        refused = [
            {"job": one.job_id, "code": one.problem.code, "message": one.problem.message, "hint": one.problem.hint}
            for one in result.refused
        ]
        return Response({"done": [job.pk for job in result.done], "refused": refused})

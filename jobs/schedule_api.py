"""Templates and schedules on the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.serializers import Input
from jobs import blueprints, schedules, waiting
from jobs.api import find, shown
from jobs.models import JobTemplate, Schedule, ScheduleEvent
from jobs.schedule_serializers import (
    PreviewInput,
    PreviewSerializer,
    ScheduleChangeInput,
    ScheduleEventSerializer,
    ScheduleInput,
    ScheduleSerializer,
    TemplateChangeInput,
    TemplateInput,
    TemplateSerializer,
    TemplateStartInput,
)
from jobs.serializers import JobSerializer
from jobs.template_rules import LOCKED, REQUIRED

TAGS = ["training schedules"]


def listed(model: Any) -> Any:
    """Rows with what their JSON needs, in one query."""
    return model.objects.select_related("owner").defer("owner__password")


def find_template(request: Request, template_id: int) -> JobTemplate:
    return get_visible(listed(JobTemplate), request.user, pk=template_id)


def find_schedule(request: Request, schedule_id: int) -> Schedule:
    return get_visible(listed(Schedule), request.user, pk=schedule_id)


def _with_rows(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    """The input with what it points at: the template, or the request of a job."""
    if (template := given.pop("template", None)) is not None:
        given["template"] = find_template(request, template)
    if (job := given.pop("job", None)) is not None:
        given["request"] = blueprints.of_job(find(request, job))
    return given


class TemplatesView(generics.ListAPIView):
    serializer_class = TemplateSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return visible(listed(JobTemplate), self.request.user).order_by("name", "id")

    @extend_schema(operation_id="training_templates_list", tags=TAGS, summary="Templates of jobs, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_templates_create",
        tags=TAGS,
        summary="Save a request for a job as a template",
        request=TemplateInput,
        responses={201: TemplateSerializer},
    )
    def post(self, request: Request) -> Response:
        given = _with_rows(request, TemplateInput.read(request.data))
        rules = {name: given.get(name, []) for name in (REQUIRED, LOCKED)}
        template = blueprints.save(request.user, given["name"], given["request"], **rules)
        return Response(TemplateSerializer(template).data, status=201)


class TemplateView(APIView):
    @extend_schema(
        operation_id="training_templates_get", tags=TAGS, summary="One template", responses=TemplateSerializer
    )
    def get(self, request: Request, template_id: int) -> Response:
        return Response(TemplateSerializer(find_template(request, template_id)).data)

    @extend_schema(
        operation_id="training_templates_change",
        tags=TAGS,
        summary="Change a template; its schedules use it from their next time on",
        request=TemplateChangeInput,
        responses=TemplateSerializer,
    )
    def patch(self, request: Request, template_id: int) -> Response:
        template = find_template(request, template_id)
        return Response(TemplateSerializer(blueprints.change(template, **TemplateChangeInput.read(request.data))).data)

    @extend_schema(
        operation_id="training_templates_delete",
        tags=TAGS,
        summary="Delete a template that no schedule uses",
        responses={204: None},
    )
    def delete(self, request: Request, template_id: int) -> Response:
        blueprints.delete(find_template(request, template_id))
        return Response(status=204)


class TemplateStartView(APIView):
    @extend_schema(
        operation_id="training_templates_start",
        tags=TAGS,
        summary="Start a job of a template",
        description="The job belongs to the template's owner. What the body names takes the place of the "
        "template's own for this job; what the template requires must be named, and what it locks stays.",
        request=TemplateStartInput,
        responses={201: JobSerializer},
    )
    def post(self, request: Request, template_id: int) -> Response:
        template = find_template(request, template_id)
        given = TemplateStartInput.read(request.data)
        when = {key: given.pop(key) for key in ("not_before", "after", "after_failure") if key in given}
        if "after" in when:
            when["after"] = waiting.jobs_named(request.user, when["after"])
        job = blueprints.start_from(template, given, schedules.database_now(), **when)
        return Response(shown(job), status=201)


class SchedulesView(generics.ListAPIView):
    serializer_class = ScheduleSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return visible(listed(Schedule), self.request.user).order_by("name", "id")

    @extend_schema(operation_id="training_schedules_list", tags=TAGS, summary="Schedules, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_schedules_create",
        tags=TAGS,
        summary="Let a job come again by a calendar rule",
        description="A time of day that comes twice when clocks go back is served once; one that does not come when "
        "they go forward is served at the next moment. After a time without a node, one job stands for all times "
        "that were missed.",
        request=ScheduleInput,
        responses={201: ScheduleSerializer},
    )
    def post(self, request: Request) -> Response:
        given = _with_rows(request, ScheduleInput.read(request.data))
        return Response(ScheduleSerializer(schedules.create(request.user, **given)).data, status=201)


class SchedulePreviewView(APIView):
    @extend_schema(
        operation_id="training_schedules_preview",
        tags=TAGS,
        summary="A rule in words, and its next times; nothing is saved",
        request=PreviewInput,
        responses=PreviewSerializer,
    )
    def post(self, request: Request) -> Response:
        words, times = schedules.preview(**PreviewInput.read(request.data))
        return Response(PreviewSerializer({"words": words, "times": times}).data)


class ScheduleView(APIView):
    @extend_schema(
        operation_id="training_schedules_get", tags=TAGS, summary="One schedule", responses=ScheduleSerializer
    )
    def get(self, request: Request, schedule_id: int) -> Response:
        return Response(ScheduleSerializer(find_schedule(request, schedule_id)).data)

    @extend_schema(
        operation_id="training_schedules_change",
        tags=TAGS,
        summary="Change a schedule",
        request=ScheduleChangeInput,
        responses=ScheduleSerializer,
    )
    def patch(self, request: Request, schedule_id: int) -> Response:
        schedule = find_schedule(request, schedule_id)
        given = _with_rows(request, ScheduleChangeInput.read(request.data))
        return Response(ScheduleSerializer(schedules.change(schedule, request.user, **given)).data)

    @extend_schema(
        operation_id="training_schedules_delete",
        tags=TAGS,
        summary="Delete a schedule; its jobs stay",
        responses={204: None},
    )
    def delete(self, request: Request, schedule_id: int) -> Response:
        schedules.delete(find_schedule(request, schedule_id))
        return Response(status=204)


def _verb_view(name: str, summary: str, verb: Callable[[Schedule, Any], Schedule]) -> type[APIView]:
    """The door of a verb that takes nothing but the schedule."""

    class VerbView(APIView):
        @extend_schema(
            operation_id=f"training_schedules_{name}",
            tags=TAGS,
            summary=summary,
            request=None,
            responses=ScheduleSerializer,
        )
        def post(self, request: Request, schedule_id: int) -> Response:
            Input.read(request.data)
            return Response(ScheduleSerializer(verb(find_schedule(request, schedule_id), request.user)).data)

    return VerbView


PauseScheduleView = _verb_view("pause", "Make no more jobs until it is resumed", schedules.pause)
ResumeScheduleView = _verb_view("resume", "Go on with the next time to come", schedules.resume)


class RunScheduleView(APIView):
    @extend_schema(
        operation_id="training_schedules_run",
        tags=TAGS,
        summary="Make a job of it now, beside its times",
        request=None,
        responses={201: JobSerializer},
    )
    def post(self, request: Request, schedule_id: int) -> Response:
        Input.read(request.data)
        job = schedules.run_now(find_schedule(request, schedule_id), request.user)
        return Response(shown(job), status=201)


class ScheduleEventsView(generics.ListAPIView):
    serializer_class = ScheduleEventSerializer
    queryset = ScheduleEvent.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        schedule = find_schedule(self.request, self.kwargs["schedule_id"])
        return schedule.events.select_related("actor").defer("actor__password").order_by("-id")

    @extend_schema(
        operation_id="training_schedules_events",
        tags=TAGS,
        summary="What a schedule did at its times, and who did what to it, newest first",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

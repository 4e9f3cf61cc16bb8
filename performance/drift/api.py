"""Drift on the API."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.filters import IdFilter, StableFilterSet
from performance.drift import monitors, verbs
from performance.drift.access import checks_for, get_check, get_model_seen
from performance.drift.serializers import (
    CheckDetailSerializer,
    CheckInput,
    DriftCheckSerializer,
    MonitorInput,
    MonitorSerializer,
)
from performance.drift.verbs import Stretch
from performance.models import DriftCheck
from registry.access import get_model, get_version

TAGS = ["performance"]
WAIT_SECONDS, LOOK_SECONDS = 20.0, 0.2


class CheckFilter(StableFilterSet):
    model = IdFilter(field_name="model_id")
    about = django_filters.ChoiceFilter(choices=DriftCheck.Subject.choices)
    status = django_filters.ChoiceFilter(choices=DriftCheck.Status.choices)
    moved = django_filters.BooleanFilter()

    class Meta:
        model = DriftCheck
        fields: list[str] = []


class AskView(APIView):
    @extend_schema(
        operation_id="performance_drift_check",
        tags=TAGS,
        summary="Check whether what a model meets has changed",
        description="Recent inputs, predictions or errors are laid beside a reference by a background worker. Answers "
        "with 202 while the check waits, with 200 once it has ended; `wait` waits some seconds for that.",
        request=CheckInput,
        responses={200: CheckDetailSerializer, 202: CheckDetailSerializer},
    )
    def post(self, request: Request) -> Response:
        given = CheckInput.read(request.data)
        model = get_model_seen(request.user, given["model"])
        version = get_version(request.user, given["version"]) if given["version"] else None
        made = verbs.check(
            model, given["about"], request.user, version=version, reference=_reference(given), recent=_recent(given)
        )
        until = time.monotonic() + (WAIT_SECONDS if given["wait"] else 0)
        while made.finished_at is None and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            made.refresh_from_db()
        return Response(CheckDetailSerializer(made).data, status=200 if made.finished_at else 202)


class ChecksView(generics.ListAPIView):
    serializer_class = DriftCheckSerializer
    filterset_class = CheckFilter
    queryset = DriftCheck.objects.none()

    def get_queryset(self) -> QuerySet[DriftCheck]:
        return checks_for(self.request.user)

    @extend_schema(operation_id="performance_drift_checks", tags=TAGS, summary="Drift checks, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CheckView(APIView):
    @extend_schema(
        operation_id="performance_drift_check_get",
        tags=TAGS,
        summary="One drift check with what it found",
        responses=CheckDetailSerializer,
    )
    def get(self, request: Request, check_id: int) -> Response:
        return Response(CheckDetailSerializer(get_check(request.user, check_id)).data)


class MonitorView(APIView):
    @extend_schema(
        operation_id="models_drift_monitor",
        tags=TAGS,
        summary="How a model is looked at for drift by itself",
        responses=MonitorSerializer,
    )
    def get(self, request: Request, model_id: int) -> Response:
        return Response(MonitorSerializer(monitors.monitor_of(get_model_seen(request.user, model_id))).data)

    @extend_schema(
        operation_id="models_drift_monitor_set",
        tags=TAGS,
        summary="Have a model looked at for drift by itself, or no longer",
        description="What is not named stays as it is; a new monitor has defaults. For who may deploy the model.",
        request=MonitorInput,
        responses=MonitorSerializer,
    )
    def put(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        return Response(MonitorSerializer(monitors.change(model, request.user, **MonitorInput.read(request.data))).data)


def _reference(given: dict[str, Any]) -> str | Stretch | None:
    if given["reference_from"] is not None:
        return Stretch(given["reference_from"], given["reference_until"])
    return given["reference"]


def _recent(given: dict[str, Any]) -> int | timedelta:
    return timedelta(hours=given["recent_hours"]) if given["recent_hours"] else given["recent"]

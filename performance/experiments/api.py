"""Experiments on the API, under the name that programs know: A/B tests."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.pagination import Pages
from common.serializers import Input
from jobs.api import idempotency_key
from performance.experiments import overview, verbs
from performance.experiments.serializers import (
    ExperimentInput,
    ExperimentReasonInput,
    ExperimentResultsSerializer,
    ExperimentSerializer,
    ExperimentsQuery,
    results,
)
from performance.models import Experiment
from registry.access import get_model

TAGS = ["performance"]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", OpenApiTypes.STR, OpenApiParameter.HEADER,
    description="Any text of up to 200 characters. The same key and request give the same test again, with 200.",
)  # fmt: skip


def find(request: Request, experiment_id: int) -> Experiment:
    return overview.find(request.user, experiment_id)


class StartView(APIView):
    @extend_schema(
        operation_id="performance_ab_test_start",
        tags=TAGS,
        summary="Compare versions of a model on what it is asked",
        description="`ab`: each version answers its share of the keys. `shadow`: the champion answers, and the others "
        "get copies of the inputs. What is sent as the truth or as feedback decides; the test is looked at as it comes "
        "in, and ends by itself when there is a verdict. With an Idempotency-Key the same request gives the same test.",
        parameters=[IDEMPOTENCY_KEY],
        request=ExperimentInput,
        responses={200: ExperimentResultsSerializer, 201: ExperimentResultsSerializer},
    )
    def post(self, request: Request) -> Response:
        given = ExperimentInput.read(request.data)
        model = get_model(request.user, given.pop("model"))
        arms = [arm | {"version": overview.version_of(model, arm["version"])} for arm in given.pop("arms")]
        control = given.pop("control", None)
        key = idempotency_key(request)
        known = key and Experiment.objects.filter(started_by=request.user, idempotency_key=key).exists()
        made = verbs.start(
            model, request.user, arms=arms, control=overview.version_of(model, control) if control else None,
            idempotency_key=key, **given,
        )  # fmt: skip
        return Response(results(find(request, made.pk)), status=200 if known else 201)


class ExperimentsView(generics.ListAPIView):
    serializer_class = ExperimentSerializer
    filter_backends: list[type] = []
    query = ExperimentsQuery

    def get_queryset(self) -> QuerySet[Experiment]:
        if getattr(self, "swagger_fake_view", False):
            return Experiment.objects.none()
        asked = ExperimentsQuery.read(self.request.query_params, beside=Pages.names())
        rows = overview.visible(self.request.user)
        if asked.get("model"):
            rows = rows.filter(model=get_model(self.request.user, asked["model"]))
        return rows.filter(status=asked["status"]) if asked.get("status") else rows

    @extend_schema(
        operation_id="performance_ab_test_list",
        tags=TAGS,
        summary="Tests of versions, those that run first",
        parameters=[ExperimentsQuery],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ResultsView(APIView):
    @extend_schema(
        operation_id="performance_ab_test_results",
        tags=TAGS,
        summary="What is known of a test, and its verdict",
        responses=ExperimentResultsSerializer,
    )
    def get(self, request: Request, experiment_id: int) -> Response:
        return Response(results(find(request, experiment_id)))


class StopView(APIView):
    @extend_schema(
        operation_id="performance_ab_test_stop",
        tags=TAGS,
        summary="End a test without a verdict: the champion answers all again",
        request=ExperimentReasonInput,
        responses=ExperimentResultsSerializer,
    )
    def post(self, request: Request, experiment_id: int) -> Response:
        row = find(request, experiment_id)
        verbs.stop(row, request.user, **ExperimentReasonInput.read(request.data))
        return Response(results(find(request, experiment_id)))


class LookView(APIView):
    @extend_schema(
        operation_id="performance_ab_test_look",
        tags=TAGS,
        summary="Count and judge a test now, in the background",
        description="Verdicts hold however often one looks. Without this it is done every half minute or so.",
        request=None,
        responses={202: ExperimentResultsSerializer},
    )
    def post(self, request: Request, experiment_id: int) -> Response:
        Input.read(request.data)
        row = find(request, experiment_id)
        verbs.ask_for_look(row, request.user)
        return Response(results(row), status=202)


class PromoteView(APIView):
    @extend_schema(
        operation_id="performance_ab_test_promote",
        tags=TAGS,
        summary="Promote the version that won",
        request=ExperimentReasonInput,
        responses=OpenApiTypes.OBJECT,
    )
    def post(self, request: Request, experiment_id: int) -> Response:
        row = find(request, experiment_id)
        made = verbs.promote(row, request.user, **ExperimentReasonInput.read(request.data))
        requested = type(made).__name__ == "PromotionRequest"
        return Response({"promoted": not requested, "request": made.pk if requested else None, **results(row)})

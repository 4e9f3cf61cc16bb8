"""Models and versions on the API."""

from __future__ import annotations

import json
from typing import Any

import django_filters
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.downloads import download, file_pieces
from common.errors import InvalidInputError, TooLargeError
from common.filters import IdFilter, StableFilterSet
from common.parsers import StrictJSONParser, parse_json
from engine.catalogue import RECIPES
from engine.predict import Given
from registry import merging
from registry.artifacts import open_file
from registry.lineage import lineage
from registry.models import Model, ModelVersion
from registry.prediction import predict
from registry.reports import report_of
from registry.serializers import (
    ModelSerializer,
    PredictFilesInput,
    PredictInput,
    PredictionSerializer,
    VersionReportSerializer,
    VersionSerializer,
)
from registry.versions import listed

MAX_FILE = 32 * 1024 * 1024
MAX_FILES_TOTAL = 64 * 1024 * 1024


class ModelFilter(StableFilterSet):
    recipe = django_filters.ChoiceFilter(choices=[(name, name) for name in RECIPES])
    subject = IdFilter(field_name="subject_id")
    owner = django_filters.CharFilter(field_name="owner__username", max_length=150, help_text="A user's name.")
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )
    ordering = django_filters.OrderingFilter(fields=[("created_at", "created_at"), ("name", "name")])

    class Meta:
        model = Model
        fields: list[str] = []


def models() -> QuerySet[Model]:
    """Models with what their JSON needs, in one query."""
    ready = ModelVersion.objects.filter(model=OuterRef("pk"), status=ModelVersion.Status.READY)
    newest = ready.order_by("-number").values("pk")[:1]
    counted = ModelVersion.objects.filter(model=OuterRef("pk")).order_by().values("model").annotate(n=Count("pk"))
    rows = Model.objects.select_related("owner").defer("owner__password")
    rows = rows.annotate(version_count=Coalesce(Subquery(counted.values("n")), 0), latest_id=Subquery(newest))
    return rows.order_by("-created_at", "-id")


def find(request: Request, version_id: int) -> ModelVersion:
    """The version, if it exists for the one who asks; else NotFoundError."""
    return get_visible(listed(), request.user, "model__owner", pk=version_id)


class ModelsView(generics.ListAPIView):
    serializer_class = ModelSerializer
    filterset_class = ModelFilter

    def get_queryset(self) -> QuerySet[Model]:
        return visible(models(), self.request.user)

    @extend_schema(operation_id="models_list", tags=["models"], summary="Models, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ModelView(APIView):
    @extend_schema(operation_id="models_get", tags=["models"], summary="One model", responses=ModelSerializer)
    def get(self, request: Request, model_id: int) -> Response:
        return Response(ModelSerializer(get_visible(models(), request.user, pk=model_id)).data)


class ModelVersionsView(generics.ListAPIView):
    serializer_class = VersionSerializer
    queryset = ModelVersion.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[ModelVersion]:
        model = get_visible(Model.objects.all(), self.request.user, pk=self.kwargs["model_id"])
        return listed().filter(model=model).order_by("-number")

    @extend_schema(operation_id="models_versions", tags=["models"], summary="A model's versions, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class VersionView(APIView):
    @extend_schema(operation_id="versions_get", tags=["models"], summary="One version", responses=VersionSerializer)
    def get(self, request: Request, version_id: int) -> Response:
        return Response(VersionSerializer(find(request, version_id)).data)


class MergeView(APIView):
    @extend_schema(
        operation_id="versions_merge",
        tags=["models"],
        summary="Merge an adapter into its base",
        description="Answers with the new, whole version of the same model: 202 while it is processing, 200 once it is "
        "there. Follow it at `versions/{version_id}`; `merge` says how it goes, and why it failed. Asked again it is "
        "the same version; one that failed is tried again.",
        request=None,
        responses={200: VersionSerializer, 202: VersionSerializer},
    )
    def post(self, request: Request, version_id: int) -> Response:
        made = merging.merge(find(request, version_id), request.user)
        version = listed().get(pk=made.version_id)
        ready = version.status == ModelVersion.Status.READY
        return Response(VersionSerializer(version).data, status=200 if ready else 202)


class PredictView(APIView):
    parser_classes = [StrictJSONParser, MultiPartParser]

    @extend_schema(
        operation_id="versions_predict",
        tags=["models"],
        summary="Try a version",
        description="JSON with `inputs`, or multipart with `files` (32 MiB each, 64 MiB together).",
        request={"application/json": PredictInput, "multipart/form-data": PredictFilesInput},
        responses=PredictionSerializer,
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = find(request, version_id)
        inputs, parameters = _inputs(request)
        made = predict(version, inputs, parameters)
        return Response({"outputs": made.outputs, "version": version.pk, "latency_ms": made.latency_ms})


class VersionLineageView(APIView):
    @extend_schema(
        operation_id="versions_lineage",
        tags=["models"],
        summary="Where a version comes from, and what was made from it",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, version_id: int) -> Response:
        return Response(lineage(find(request, version_id), request.user))


class ReportView(APIView):
    @extend_schema(
        operation_id="versions_report",
        tags=["models"],
        summary="What the last evaluation of a version showed",
        description="Pictures of a block are files of the version.",
        responses=VersionReportSerializer,
    )
    def get(self, request: Request, version_id: int) -> Response:
        report = report_of(find(request, version_id))
        return Response({"blocks": [block.model_dump() for block in report.blocks], "problem": report.problem})


class FileView(APIView):
    @extend_schema(
        operation_id="versions_file",
        tags=["models"],
        summary="Download a file of a version",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, version_id: int, name: str) -> HttpResponseBase:
        version = find(request, version_id)
        file, size = open_file(version, name)
        response = download(request._request, file_pieces(file), "application/octet-stream", name)
        response.headers["Content-Length"] = str(size)
        return response


def _inputs(request: Request) -> tuple[list[Given], dict[str, Any]]:
    if not request.content_type.startswith("multipart/"):
        given = PredictInput.read(request.data)
        return given["inputs"], given.get("parameters", {})
    files = request.FILES.getlist("files")
    if any(file.size > MAX_FILE for file in files) or sum(file.size for file in files) > MAX_FILES_TOTAL:
        raise TooLargeError("The files are larger than 32 MiB each or 64 MiB together.", "Send smaller or fewer files.")
    PredictFilesInput.read({"files": files})
    return [file.read() for file in files], _parameters(request.data.get("parameters", ""))


def _parameters(text: Any) -> dict[str, Any]:
    try:
        value = parse_json(text.encode("utf-8")) if isinstance(text, str) and text.strip() else {}
    except (ValueError, RecursionError, json.JSONDecodeError):
        value = None
    if not isinstance(value, dict):
        raise InvalidInputError(
            "The parameters can't be read.",
            'Send a JSON object such as {"temperature": 0.8}.',
            fields={"parameters": ["This is not a JSON object."]},
        )
    return value

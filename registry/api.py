"""Models and versions on the API."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.downloads import download, file_pieces
from common.filters import IdFilter, StableFilterSet
from common.serializers import Input
from engine.catalogue import RECIPES
from registry import merging
from registry.access import get_model, get_version, models_for
from registry.artifacts import open_file
from registry.graph.walk import graph
from registry.life import api as life
from registry.lineage import lineage
from registry.models import Model, ModelVersion
from registry.reports import report_of
from registry.serializers import (
    ModelSerializer,
    VersionReportSerializer,
    VersionSerializer,
    VersionsQuery,
)
from registry.versions import in_sight, listed, usable


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
    newest = usable().filter(model=OuterRef("pk")).order_by("-number").values("pk")[:1]
    counted = ModelVersion.objects.filter(model=OuterRef("pk")).order_by().values("model").annotate(n=Count("pk"))
    rows = Model.objects.select_related("owner").defer("owner__password")
    rows = rows.annotate(version_count=Coalesce(Subquery(counted.values("n")), 0), latest_id=Subquery(newest))
    return rows.order_by("-created_at", "-id")


def find(request: Request, version_id: int) -> ModelVersion:
    """The version, if it exists for the one who asks; else NotFoundError."""
    return get_version(request.user, version_id)


class ModelsView(generics.ListAPIView):
    serializer_class = ModelSerializer
    filterset_class = ModelFilter

    def get_queryset(self) -> QuerySet[Model]:
        return models_for(self.request.user, models())

    @extend_schema(operation_id="models_list", tags=["models"], summary="Models, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ModelView(APIView):
    @extend_schema(operation_id="models_get", tags=["models"], summary="One model", responses=ModelSerializer)
    def get(self, request: Request, model_id: int) -> Response:
        return Response(ModelSerializer(get_model(request.user, model_id, models())).data)


class ModelVersionsView(generics.ListAPIView):
    serializer_class = VersionSerializer
    queryset = ModelVersion.objects.none()
    filter_backends: list[type] = []
    query = VersionsQuery

    def get_queryset(self) -> QuerySet[ModelVersion]:
        model = get_model(self.request.user, self.kwargs["model_id"])
        rows = listed().filter(model=model).order_by("-number")
        # Names that are not known are refused by the paginator, with its own beside them.
        asked = VersionsQuery.read({"show": self.request.query_params.get("show", "")})
        return rows if asked["show"] == "all" else in_sight(rows)

    @extend_schema(
        operation_id="models_versions",
        tags=["models"],
        summary="A model's versions, newest first",
        parameters=[VersionsQuery],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class VersionView(life.DeleteVersion, APIView):
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
        Input.read(request.data)
        made = merging.merge(find(request, version_id), request.user)
        version = listed().get(pk=made.version_id)
        ready = version.status == ModelVersion.Status.READY
        return Response(VersionSerializer(version).data, status=200 if ready else 202)


class VersionLineageView(APIView):
    @extend_schema(
        operation_id="versions_lineage",
        tags=["models"],
        summary="Where a version comes from, and what was made from it",
        description="`up` and `down` are its nearest kin; `graph` is all of it over generations, as `nodes` (key, "
        "kind, id, name, detail, url, standing, side: up, here, down) and `edges` (source, target, word); `left_out` "
        "counts nodes for which it would be too large.",
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, version_id: int) -> Response:
        version = find(request, version_id)
        return Response(lineage(version, request.user) | {"graph": graph(version, request.user).shown()})


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

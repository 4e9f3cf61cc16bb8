"""Templates and renderings on the API: from the rows of tables to training pairs."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.filters import StableFilterSet
from datasets.api import find
from datasets.models import Dataset, RenderError, Rendering, Template
from datasets.rendering import renderings, sheets
from datasets.rendering import templates as sheet_templates
from datasets.rendering.serializers import (
    RenderErrorSerializer,
    RenderingSerializer,
    RenderInput,
    SheetTemplateChangeInput,
    SheetTemplateInput,
    SheetTemplateSerializer,
    TemplatePreviewInput,
    TemplatePreviewSerializer,
)

TAGS = ["training sheets"]


class TemplateFilter(StableFilterSet):
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )

    class Meta:
        model = Template
        fields: list[str] = []


def listed() -> QuerySet[Template]:
    return Template.objects.select_related("owner").defer("owner__password")


def find_template(request: Request, template_id: int) -> Template:
    return get_visible(listed(), request.user, pk=template_id)


def find_rendering(request: Request, rendering_id: int) -> Rendering:
    return get_visible(Rendering.objects.all(), request.user, "sheet__owner", pk=rendering_id)


class SheetTemplatesView(generics.ListAPIView):
    serializer_class = SheetTemplateSerializer
    filterset_class = TemplateFilter

    def get_queryset(self) -> QuerySet[Template]:
        return visible(listed(), self.request.user).order_by("name", "id")

    @extend_schema(operation_id="templates_list", tags=TAGS, summary="Templates of training pairs, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="templates_create", tags=TAGS, summary="Keep a template of prompt and completion",
        description="Its columns are checked when it is tried or rendered: one template may serve several sheets.",
        request=SheetTemplateInput, responses={201: SheetTemplateSerializer}, filters=False,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        made = sheet_templates.create(request.user, **SheetTemplateInput.read(request.data))
        return Response(SheetTemplateSerializer(made).data, status=201)


class SheetTemplateView(APIView):
    @extend_schema(operation_id="templates_get", tags=TAGS, summary="One template", responses=SheetTemplateSerializer)
    def get(self, request: Request, sheet_template_id: int) -> Response:
        return Response(SheetTemplateSerializer(find_template(request, sheet_template_id)).data)

    @extend_schema(
        operation_id="templates_change", tags=TAGS, summary="Change a template; what it made stays as it is",
        request=SheetTemplateChangeInput, responses=SheetTemplateSerializer,
    )  # fmt: skip
    def patch(self, request: Request, sheet_template_id: int) -> Response:
        template = find_template(request, sheet_template_id)
        changed = sheet_templates.change(template, **SheetTemplateChangeInput.read(request.data))
        return Response(SheetTemplateSerializer(changed).data)

    @extend_schema(
        operation_id="templates_delete", tags=TAGS, summary="Delete a template",
        description="409 once training sheets were made by it.", responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, sheet_template_id: int) -> Response:
        sheet_templates.delete(find_template(request, sheet_template_id))
        return Response(status=204)


class TemplatePreviewView(APIView):
    @extend_schema(
        operation_id="templates_preview", tags=TAGS, summary="Try a template on rows of a sheet; nothing is kept",
        description="400 says in which line of which part something is wrong, and what to do.",
        request=TemplatePreviewInput, responses=TemplatePreviewSerializer,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = TemplatePreviewInput.read(request.data)
        dataset = find(request, given.pop("dataset"))
        chosen = {"numbers": given.pop("rows", []), **{key: given.pop(key) for key in ("sample", "count", "seed")}}
        tried = sheet_templates.preview(dataset, given, label_column=given.pop("label_column"), **chosen)
        sheet = sheets.open_sheet(dataset)
        shown = {"columns": sheet.names, "total_rows": sheet.rows, "rows": tried}
        return Response(TemplatePreviewSerializer(shown).data)


class RenderView(APIView):
    @extend_schema(
        operation_id="datasets_render", tags=TAGS, summary="Render a template over all rows of a sheet",
        description="Answers at once with the waiting rendering; follow it at `renderings/{rendering_id}`. Its `target`"
        " is the training sheet. Rows that make no pair are listed with the reason.",
        request=RenderInput, responses={202: RenderingSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        given = RenderInput.read(request.data)
        template = find_template(request, given.pop("template"))
        target = given.pop("target", None)
        into = None if target is None else get_visible(Dataset.objects.all(), request.user, pk=target)
        made = renderings.start(dataset, request.user, template, target=into, **given)
        return Response(RenderingSerializer(made).data, status=202)


class RenderingsView(generics.ListAPIView):
    serializer_class = RenderingSerializer
    queryset = Rendering.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Rendering]:
        return Rendering.objects.filter(sheet=find(self.request, self.kwargs["dataset_id"])).order_by("-id")

    @extend_schema(operation_id="datasets_renderings", tags=TAGS, summary="Renderings of a sheet, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class RenderingView(APIView):
    @extend_schema(operation_id="renderings_get", tags=TAGS, summary="One rendering", responses=RenderingSerializer)
    def get(self, request: Request, rendering_id: int) -> Response:
        return Response(RenderingSerializer(find_rendering(request, rendering_id)).data)


class RenderErrorsView(generics.ListAPIView):
    serializer_class = RenderErrorSerializer
    queryset = RenderError.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[RenderError]:
        return find_rendering(self.request, self.kwargs["rendering_id"]).errors.order_by("row")

    @extend_schema(operation_id="renderings_errors", tags=TAGS, summary="Rows that made no pair, and why")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

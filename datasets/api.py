"""Datasets on the API: made, filled, looked at, frozen. Every verb is a function of this room."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.errors import InvalidInputError
from common.filters import IdFilter, StableFilterSet
from common.pagination import Pages
from common.parsers import check_text, parse_json
from datasets import creation, overview
from datasets.freezing import versions
from datasets.gating import gates
from datasets.intake import imports, options
from datasets.models import Dataset, DatasetVersion, Import, Modality, Subject
from datasets.serializers import (
    DatasetChangeInput,
    DatasetDetailSerializer,
    DatasetSerializer,
    DatasetVersionSerializer,
    DeletedSerializer,
    FilesInput,
    ImportDetailSerializer,
    ImportSerializer,
    NewDatasetInput,
    RefusalSerializer,
    SplitInput,
    SplitSerializer,
)

TAGS = ["datasets"]
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Any text of up to 200 characters. The same key and request give the same dataset again, with 200.",
)


class DatasetFilter(StableFilterSet):
    modality = django_filters.ChoiceFilter(choices=Modality.choices)
    status = django_filters.ChoiceFilter(choices=Dataset.Status.choices)
    subject = IdFilter(field_name="subject_id")
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )
    ordering = django_filters.OrderingFilter(
        fields=[(name, name) for name in ("created_at", "updated_at", "name", "item_count", "byte_count")]
    )

    class Meta:
        model = Dataset
        fields: list[str] = []


def find(request: Request, dataset_id: int) -> Dataset:
    """The dataset, if it exists for the one who asks; else NotFoundError."""
    return get_visible(overview.listed(), request.user, pk=dataset_id)


def detail(dataset: Dataset) -> dict[str, Any]:
    dataset.labels = overview.label_counts(dataset)  # type: ignore[attr-defined]
    return DatasetDetailSerializer(dataset).data


def _with_subject(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("subject") is not None:
        given["subject"] = get_visible(Subject.objects.all(), request.user, pk=given["subject"])
    return given


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    try:
        check_text(key)
    except ValueError as error:
        raise InvalidInputError("The Idempotency-Key can't be used.", "Send a UUID.") from error
    return key


class DatasetsView(generics.ListAPIView):
    serializer_class = DatasetSerializer
    filterset_class = DatasetFilter

    def get_queryset(self) -> QuerySet[Dataset]:
        return visible(overview.listed(), self.request.user)

    @extend_schema(operation_id="datasets_list", tags=TAGS, summary="Datasets, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="datasets_create", tags=TAGS, summary="Make an empty dataset", parameters=[IDEMPOTENCY_KEY],
        request=NewDatasetInput, filters=False,
        responses={
            201: DatasetSerializer,
            200: OpenApiResponse(DatasetSerializer, "The dataset that the same key made before."),
        },
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        given = _with_subject(request, NewDatasetInput.read(request.data))
        made, created = creation.create_dataset(request.user, **given, idempotency_key=_idempotency_key(request))
        return Response(DatasetSerializer(made).data, status=201 if created else 200)


class DatasetView(APIView):
    @extend_schema(
        operation_id="datasets_get", tags=TAGS, summary="One dataset, with its classes",
        responses=DatasetDetailSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        return Response(detail(find(request, dataset_id)))

    @extend_schema(
        operation_id="datasets_change", tags=TAGS, summary="Rename or describe a dataset",
        request=DatasetChangeInput, responses=DatasetDetailSerializer,
    )  # fmt: skip
    def patch(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        given = _with_subject(request, DatasetChangeInput.read(request.data))
        clear = "subject" in given and given["subject"] is None
        return Response(detail(creation.change_dataset(dataset, request.user, **given, clear_subject=clear)))

    @extend_schema(
        operation_id="datasets_delete", tags=TAGS, summary="Delete a dataset and its files",
        description="409 when jobs or model versions were made from it.", responses=DeletedSerializer,
    )  # fmt: skip
    def delete(self, request: Request, dataset_id: int) -> Response:
        return Response({"bytes_freed": creation.delete_dataset(find(request, dataset_id), request.user)})


class FilesView(APIView):
    parser_classes = [MultiPartParser]

    @extend_schema(
        operation_id="datasets_files", tags=TAGS, summary="Add files, folders or archives",
        description="Answers at once with the waiting import; follow it at `datasets/{id}/imports/{import_id}`.",
        request={"multipart/form-data": FilesInput}, responses={202: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        files = request.FILES.getlist("files")
        # A request without a body has no form, and so no list of paths.
        given = request.data.getlist("paths") if isinstance(request.data, QueryDict) else []
        reading = _options(request.data.get("options")) if isinstance(request.data, QueryDict) else {}
        made = imports.start_import(dataset, request.user, files, _paths(given), reading)
        return Response(ImportSerializer(made).data, status=202)


def _paths(given: list[Any]) -> list[str] | None:
    """The parallel paths: repeated, or as one JSON array; None when there are none."""
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        try:
            texts = parse_json(texts[0].encode())
        except (ValueError, RecursionError):
            texts = [None]
        if not all(isinstance(text, str) for text in texts):
            raise InvalidInputError(
                "The paths can't be read.", 'Send a JSON array such as ["cats/1.png"], or repeat the field.',
                fields={"paths": ["This is not a JSON array of texts."]},
            )  # fmt: skip
    return texts or None


def _options(text: Any) -> dict[str, Any]:
    """The options of a form: one JSON object."""
    try:
        return options.checked(parse_json(text.encode()) if text else {})
    except (ValueError, AttributeError, RecursionError) as error:
        hint = 'Send a JSON object such as {"header": false}.'
        raise InvalidInputError("The options can't be read.", hint) from error


class ImportsView(generics.ListAPIView):
    serializer_class = ImportSerializer
    queryset = Import.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Import]:
        return overview.imports(find(self.request, self.kwargs["dataset_id"]))

    @extend_schema(operation_id="datasets_imports", tags=TAGS, summary="Imports into a dataset, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ImportView(APIView):
    @extend_schema(
        operation_id="datasets_import", tags=TAGS, summary="One import, and what it set aside",
        parameters=[
            OpenApiParameter("page", OpenApiTypes.INT, description="Of the refusals."),
            OpenApiParameter("page_size", OpenApiTypes.INT, description="At most 200."),
        ],
        responses=ImportDetailSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, import_id: int) -> Response:
        found = get_visible(
            Import.objects.defer("sources").filter(dataset=dataset_id), request.user, "dataset__owner", pk=import_id
        )
        pages = Pages()
        page = pages.paginate_queryset(found.refusals.all(), request, view=self)
        refusals = pages.get_paginated_response(RefusalSerializer(page, many=True).data).data
        return Response({**ImportSerializer(found).data, "refusals": refusals})


class DatasetVersionsView(generics.ListAPIView):
    serializer_class = DatasetVersionSerializer
    queryset = DatasetVersion.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        return find(self.request, self.kwargs["dataset_id"]).versions.order_by("-number")

    @extend_schema(operation_id="datasets_versions", tags=TAGS, summary="Frozen versions, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="datasets_freeze", tags=TAGS, summary="Freeze the dataset as it is now",
        description="The same items, seed and fractions give the same version again, with 200.",
        request=SplitInput, responses={201: DatasetVersionSerializer, 200: DatasetVersionSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        version, is_new = versions.freeze_or_find(dataset, request.user, **SplitInput.read(request.data))
        return Response(DatasetVersionSerializer(version).data, status=201 if is_new else 200)


class SplitView(APIView):
    @extend_schema(
        operation_id="datasets_split", tags=TAGS, summary="How many items each set would get",
        parameters=[SplitInput], responses=SplitSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        given = SplitInput.read(request.query_params)
        split = versions.planned(dataset, **given)
        answer = {**given, "counts": split.counts, "unsaid": split.unsaid, "left_out": gates.left_out(dataset)}
        return Response(answer)

"""One frozen version on the API: itself, what it left out, what changed since another, and deleting it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.downloads import download
from common.errors import NotFoundError
from common.pagination import Pages
from datasets import overview
from datasets.freezing import differences, manifests, removal
from datasets.freezing.serializers import (
    DifferenceInput,
    DifferencesSerializer,
    ItemsRemoveInput,
    LeftOutPageSerializer,
    RemovedSerializer,
)
from datasets.items import exporting
from datasets.models import Dataset, DatasetVersion
from datasets.serializers import DatasetVersionSerializer, DeletedSerializer

TAGS = ["datasets"]


def version_of(dataset: Dataset, number: int) -> DatasetVersion:
    """The version with this number; NotFoundError when there is none."""
    found = dataset.versions.select_related("dataset", "parent").filter(number=number).first()
    if found is None:
        raise NotFoundError(f"'{dataset.name}' has no version {number}.", "Look at the list of its versions.")
    return found


def compared_with(version: DatasetVersion, since: int | None) -> DatasetVersion | None:
    """The version to compare with: the one named, else the one before; None for the first."""
    if since is not None:
        return version_of(version.dataset, since)
    return version.dataset.versions.filter(number__lt=version.number).order_by("-number").first()


class LeftOut:
    """The list of what a version left out, as something that can be cut into pages."""

    def __init__(self, version: DatasetVersion) -> None:
        self.address = version.left_out_hash
        self.total = sum(version.left_out.values())

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, part: slice) -> list[dict[str, str]]:
        return list(islice(manifests.left_out(self.address), part.start, part.stop))

    def __iter__(self) -> Iterator[dict[str, str]]:
        return manifests.left_out(self.address)


def _find(request: Request, dataset_id: int, number: int) -> DatasetVersion:
    return version_of(get_visible(overview.listed(), request.user, pk=dataset_id), number)


class DatasetVersionView(APIView):
    @extend_schema(
        operation_id="datasets_version", tags=TAGS, summary="One frozen version", responses=DatasetVersionSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, number: int) -> Response:
        return Response(DatasetVersionSerializer(_find(request, dataset_id, number)).data)

    @extend_schema(
        operation_id="datasets_version_delete", tags=TAGS, summary="Delete a version that nobody used",
        description="409 when jobs or model versions were made from it.", responses=DeletedSerializer,
    )  # fmt: skip
    def delete(self, request: Request, dataset_id: int, number: int) -> Response:
        return Response({"bytes_freed": removal.delete_version(_find(request, dataset_id, number), request.user)})


class VersionExportView(APIView):
    @extend_schema(
        operation_id="datasets_version_export", tags=TAGS, summary="What a version holds, as a zip archive",
        description="As the export of a dataset, with each item's set as `split`: imported into another dataset and "
        "split as given, it falls to the same parts.", responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, number: int) -> HttpResponseBase:
        version = _find(request, dataset_id, number)
        name = f"dataset-{dataset_id}-v{number}.zip"
        return download(request._request, exporting.of_version(version), exporting.TYPE, name)


class LeftOutView(APIView):
    @extend_schema(
        operation_id="datasets_version_left_out", tags=TAGS, summary="What a version left out, item by item",
        parameters=[
            OpenApiParameter("page", OpenApiTypes.INT),
            OpenApiParameter("page_size", OpenApiTypes.INT, description="At most 200."),
        ],
        responses=LeftOutPageSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, number: int) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(LeftOut(_find(request, dataset_id, number)), request, view=self)
        return pages.get_paginated_response(rows)


class DifferenceView(APIView):
    @extend_schema(
        operation_id="datasets_version_difference", tags=TAGS, summary="What changed since another version",
        parameters=[DifferenceInput], responses=DifferencesSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, number: int) -> Response:
        version = _find(request, dataset_id, number)
        given = DifferenceInput.read(request.query_params)
        earlier = compared_with(version, given["since"])
        found = differences.summary(earlier, version, given["limit"])
        first: dict[str, Any] = {kind: [asdict(row) for row in rows] for kind, rows in found.first.items()}
        answer = {
            "since": earlier.number if earlier else None,
            "number": version.number,
            "counts": found.counts,
            "moved": found.moved,
            **first,
        }
        return Response(DifferencesSerializer(answer).data)


class ItemsRemoveView(APIView):
    @extend_schema(
        operation_id="datasets_items_remove", tags=TAGS, summary="Remove items for good",
        description="Items that a frozen version holds stay, and are counted as kept.", request=ItemsRemoveInput,
        responses=RemovedSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = get_visible(overview.listed(), request.user, pk=dataset_id)
        return Response(asdict(removal.remove_items(dataset, request.user, ItemsRemoveInput.read(request.data)["ids"])))

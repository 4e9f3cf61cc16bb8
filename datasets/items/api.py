"""Items on the API: found, looked at, changed one or many at a time, and given back what they had."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.downloads import download
from common.errors import InvalidInputError
from common.serializers import Input
from datasets import overview
from datasets.items import browse, edits, exporting, filters
from datasets.items.content import content_response, preview_response
from datasets.items.serializers import (
    EditSerializer,
    FiltersInput,
    ItemChangeInput,
    ItemDetailSerializer,
    ItemPageSerializer,
    ItemsEditInput,
    ItemSerializer,
    ItemsInput,
    SeriesInput,
    SeriesSerializer,
    UndoneSerializer,
)
from datasets.models import Dataset, Edit, Item
from datasets.rendering import pages as sheet_pages

TAGS = ["datasets"]
RANGE = OpenApiParameter(
    "Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="bytes=first-last: a part of the file, with 206."
)


def _find(request: Request, dataset_id: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=dataset_id)


def _find_item(request: Request, dataset_id: int, item_id: int) -> Item:
    items = Item.objects.filter(dataset=dataset_id).select_related("dataset", "subject")
    return get_visible(items, request.user, "dataset__owner", pk=item_id)


class ItemsView(APIView):
    @extend_schema(
        operation_id="datasets_items", tags=TAGS, summary="A dataset's items",
        description="Pages are found by key: follow `next`. A page can hold fewer items than asked for, or none, and "
        "have a `next`: what you look for is rare, and the time for one request was up. `count` ends at 10,000; "
        "`count_is_exact` says whether it is all there are.",
        parameters=[ItemsInput], responses=ItemPageSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = _find(request, dataset_id)
        given = ItemsInput.read(request.query_params, beside=filters.NAMES)
        wanted = filters.read(dataset, {name: request.query_params.get(name) for name in filters.NAMES})
        part = browse.page(
            dataset, wanted, sort=given["sort"], after=given["after"], before=given["before"],
            size=min(given["page_size"], 200),
        )  # fmt: skip
        counted = browse.total(dataset, wanted)
        return Response({
            "count": counted.number, "count_is_exact": counted.exact,
            "next": _link(request, dataset, after=part.after), "previous": _link(request, dataset, before=part.before),
            "results": ItemSerializer(part.items, many=True).data,
        })  # fmt: skip


def _link(request: Request, dataset: Dataset, **place: object) -> str | None:
    name, cursor = next(iter(place.items()))
    if cursor is None:
        return None
    query = request.query_params.copy()
    query.pop("after", None)
    query.pop("before", None)
    query[name] = str(cursor)
    return request.build_absolute_uri(f"{reverse('api-dataset-items', args=[dataset.pk])}?{query.urlencode()}")


class ItemsExportView(APIView):
    @extend_schema(
        operation_id="datasets_export", tags=TAGS, summary="Items as a zip archive",
        description="All items, or those that fit the filters: files in folders of their classes, `metadata.jsonl` "
        "with what is known of each, and `rows.jsonl` with pairs, chats and short texts. An import reads it back.",
        parameters=[FiltersInput], responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> HttpResponseBase:
        dataset = _find(request, dataset_id)
        FiltersInput.read(request.query_params)
        wanted = filters.read(dataset, {name: request.query_params.get(name) for name in filters.NAMES})
        pieces = exporting.of_items(dataset, wanted)
        return download(request._request, pieces, exporting.TYPE, f"dataset-{dataset.pk}.zip")


class ItemView(APIView):
    @extend_schema(
        operation_id="datasets_item", tags=TAGS, summary="One item, with what was found and measured",
        responses=ItemDetailSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, item_id: int) -> Response:
        return Response(ItemDetailSerializer(_find_item(request, dataset_id, item_id)).data)

    @extend_schema(
        operation_id="datasets_item_change", tags=TAGS, summary="Change an item",
        description="Each field that is sent is an edit of its own, which can be undone.",
        request=ItemChangeInput, responses=ItemDetailSerializer,
    )  # fmt: skip
    def patch(self, request: Request, dataset_id: int, item_id: int) -> Response:
        item = _find_item(request, dataset_id, item_id)
        given = ItemChangeInput.read(request.data)
        edits.change_item(item, request.user, given)
        return Response(ItemDetailSerializer(_find_item(request, dataset_id, item_id)).data)


class ItemsEditView(APIView):
    @extend_schema(
        operation_id="datasets_items_edit", tags=TAGS, summary="Change one field of many items",
        description="Name them by `ids`, or by `filter` with the fields of the list's query. One edit, which can be "
        "undone. `count` is how many were changed; `id` is null when none had to be.",
        request=ItemsEditInput, responses=EditSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = _find(request, dataset_id)
        given = ItemsEditInput.read(request.data)
        if ("ids" in given) == ("filter" in given):
            problem = "Name the items by 'ids' or by 'filter', one of the two."
            raise InvalidInputError(problem, 'Send for example {"ids": [1, 2], "field": "label", "value": "cats"}.',
                                    fields={"ids": [problem]})  # fmt: skip
        items: Any = given.get("ids")
        if items is None:
            items = browse.matching(dataset, filters.read(dataset, given["filter"]))
        made = edits.edit_items(dataset, request.user, items, field=given["field"], value=given["value"])
        return Response(EditSerializer(made).data)


class EditsView(generics.ListAPIView):
    serializer_class = EditSerializer
    queryset = Edit.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return edits.recent(_find(self.request, self.kwargs["dataset_id"]))

    @extend_schema(operation_id="datasets_edits", tags=TAGS, summary="Changes of items by people, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class EditUndoView(APIView):
    @extend_schema(
        operation_id="datasets_edit_undo", tags=TAGS, summary="Give items back what they had before an edit",
        description="What was changed again since is left as it is and named in `kept`. 409 when that is all of them. "
        "Sending it again does nothing.", request=None, responses=UndoneSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int, edit_id: int) -> Response:
        Input.read(request.data)
        found = get_visible(Edit.objects.filter(dataset=dataset_id), request.user, "dataset__owner", pk=edit_id)
        return Response(UndoneSerializer(edits.undo(found, request.user)).data)


class ItemContentView(APIView):
    @extend_schema(
        operation_id="datasets_item_content", tags=TAGS, summary="An item's bytes", parameters=[RANGE],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
        },
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, item_id: int) -> HttpResponseBase:
        return content_response(request._request, _find_item(request, dataset_id, item_id))


class ItemPreviewView(APIView):
    @extend_schema(
        operation_id="datasets_item_preview", tags=TAGS,
        summary="A small picture, a waveform, or the first 2,000 characters",
        description="Pictures, first frames of videos and waveforms are made in the background. 202 with a placeholder "
        "while one is being made.",
        responses={
            (200, "image/webp"): OpenApiTypes.BINARY, (200, "image/svg+xml"): OpenApiTypes.STR,
            (200, "text/plain"): OpenApiTypes.STR, (202, "image/svg+xml"): OpenApiTypes.STR,
        },
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, item_id: int) -> HttpResponse:
        return preview_response(_find_item(request, dataset_id, item_id))


class ItemSeriesView(APIView):
    @extend_schema(
        operation_id="datasets_item_series", tags=TAGS, summary="A column of a table over time, thinned for a plot",
        description="Of tables with a column of times. The lowest and highest value of each stretch are kept.",
        parameters=[SeriesInput], responses=SeriesSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, item_id: int) -> Response:
        found = _find_item(request, dataset_id, item_id)
        return Response(sheet_pages.series(found, SeriesInput.read(request.query_params)["column"]))

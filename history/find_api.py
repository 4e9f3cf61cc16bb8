"""Finding sessions, exporting them, and saved views on the API."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from history import browsing, exporting, filters, reading, saved_views
from history.find_serializers import (
    ExportQuery,
    FindQuery,
    FoundSerializer,
    SavedViewChangeInput,
    SavedViewInput,
    SavedViewSerializer,
)
from history.models import SavedView
from history.serializers import SessionSerializer

TAGS = ["history"]


def wanted_of(request: Request, user_id: int, asked: dict[str, Any]) -> filters.Filters:
    """The filters of a query, of this one person."""
    reading.check_user(request.user, user_id)
    return filters.read({name: asked[name] for name in filters.NAMES if asked.get(name)}, request.user).of(user_id)


class FindView(APIView):
    @extend_schema(
        operation_id="training_history_find",
        tags=TAGS,
        summary="A user's sessions by any filters, in any order",
        description="Pages are found by the session beside them, so the last of a million sessions costs as much as "
        "the first. Sorted by time, quality, examples or cost, the list holds the sessions that have one.",
        parameters=[FindQuery],
        responses=FoundSerializer,
    )
    def get(self, request: Request, user_id: int) -> Response:
        asked = FindQuery.read(request.query_params)
        wanted, sort = wanted_of(request, user_id, asked), asked.get("sort", browsing.NEWEST)
        place = {name: asked[name] for name in ("after", "before", "size") if name in asked}
        part = browsing.page(request.user, wanted, sort=sort, **place)
        found = {row.pk: row for row in reading.sessions(request.user).filter(pk__in=part.ids)}
        total = browsing.total(request.user, wanted, sort)
        return Response({
            "total": total.number, "total_is_exact": total.exact, "after": part.after, "before": part.before,
            "looked": part.looked,
            "results": SessionSerializer([found[pk] for pk in part.ids if pk in found], many=True).data,
        })  # fmt: skip


class ExportView(APIView):
    @extend_schema(
        operation_id="training_history_export",
        tags=TAGS,
        summary="A user's sessions that fit as CSV or Parquet, newest first",
        parameters=[ExportQuery],
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "Sent piece by piece."),
            (200, exporting.PARQUET): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request, user_id: int) -> StreamingHttpResponse:
        asked = ExportQuery.read(request.query_params)
        rows = browsing.matching(request.user, wanted_of(request, user_id, asked))
        return exporting.response(request._request, rows, asked["format"], "history")


class SavedViewsView(generics.ListAPIView):
    serializer_class = SavedViewSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return visible(SavedView.objects.all(), self.request.user).order_by("name", "id")

    @extend_schema(operation_id="training_history_views_list", tags=TAGS, summary="Saved views, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_history_views_create",
        tags=TAGS,
        summary="Keep filters and an order under a name",
        request=SavedViewInput,
        responses={201: SavedViewSerializer},
    )
    def post(self, request: Request) -> Response:
        given = SavedViewInput.read(request.data)
        view = saved_views.create(request.user, given["name"], given.get("filters", {}), given.get("sort", ""))
        return Response(SavedViewSerializer(view).data, status=201)


class SavedViewView(APIView):
    def _find(self, request: Request, view_id: int) -> SavedView:
        views = SavedView.objects.select_related("owner").defer("owner__password")
        return get_visible(views, request.user, pk=view_id)

    @extend_schema(
        operation_id="training_history_views_get", tags=TAGS, summary="One saved view", responses=SavedViewSerializer
    )
    def get(self, request: Request, view_id: int) -> Response:
        return Response(SavedViewSerializer(self._find(request, view_id)).data)

    @extend_schema(
        operation_id="training_history_views_change",
        tags=TAGS,
        summary="Rename a saved view, or let it hold other filters",
        request=SavedViewChangeInput,
        responses=SavedViewSerializer,
    )
    def patch(self, request: Request, view_id: int) -> Response:
        view, given = self._find(request, view_id), SavedViewChangeInput.read(request.data)
        saved_views.change(view, name=given.get("name"), given=given.get("filters"), sort=given.get("sort"))
        return Response(SavedViewSerializer(view).data)

    @extend_schema(
        operation_id="training_history_views_delete", tags=TAGS, summary="Delete a saved view", responses={204: None}
    )
    def delete(self, request: Request, view_id: int) -> Response:
        saved_views.delete(self._find(request, view_id))
        return Response(status=204)

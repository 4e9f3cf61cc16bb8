"""The history on the API. Everyone sees their own sessions, staff see all."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.by_id import ById
from common.pagination import Pages
from history import notes, reading
from history.filters import Filters
from history.models import Session
from history.recording import record_reported
from history.serializers import (
    MarksInput,
    RangeQuery,
    RecentQuery,
    SessionInput,
    SessionSerializer,
    StatisticsSerializer,
)
from history.statistics import days, of_days

TAGS = ["history"]


class HistoryPages(Pages):
    django_paginator_class = ById


class SizedPages(HistoryPages):
    """Pages whose size is asked as `size`."""

    page_size_query_param = "size"


class RecordView(APIView):
    @extend_schema(
        operation_id="training_history_create",
        tags=TAGS,
        summary="Record a session of a run of your own",
        description="Sent again with the same `session_id` and values it is the same session. Other values under the "
        "id of a session of your own are refused with 409; `differences` names the fields, each with what is `stored` "
        "and what was `sent`.",
        request=SessionInput,
        responses={
            201: SessionSerializer,
            200: OpenApiResponse(SessionSerializer, "The session was recorded before, with the same values."),
        },
    )
    def post(self, request: Request) -> Response:
        session, created = record_reported(request.user, SessionInput.read(request.data))
        return Response(SessionSerializer(session).data, status=201 if created else 200)


class _SessionsView(generics.ListAPIView):
    serializer_class = SessionSerializer
    pagination_class: type[HistoryPages] = HistoryPages
    queryset = Session.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Session]:
        return reading.sessions_of(self.request.user, self.kwargs["user_id"])


class UserView(_SessionsView):
    @extend_schema(operation_id="training_history_user", tags=TAGS, summary="A user's sessions, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class PaginatedView(_SessionsView):
    pagination_class = SizedPages

    @extend_schema(operation_id="training_history_paginated", tags=TAGS, summary="A user's sessions, page by page")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class DateRangeView(_SessionsView):
    query = RangeQuery

    def get_queryset(self) -> QuerySet[Session]:
        asked = RangeQuery.read(self.request.query_params, beside=Pages.names())
        return reading.between(super().get_queryset(), asked["start"], asked["end"])

    @extend_schema(
        operation_id="training_history_date_range",
        tags=TAGS,
        summary="A user's sessions that started in a range",
        parameters=[RangeQuery],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class StatsView(APIView):
    @extend_schema(
        operation_id="training_history_stats",
        tags=TAGS,
        summary="Totals over a user's sessions",
        responses=StatisticsSerializer,
    )
    def get(self, request: Request, user_id: int) -> Response:
        reading.check_user(request.user, user_id)
        return Response(of_days(days(request.user, Filters(user=user_id))))


class RecentView(APIView):
    @extend_schema(
        operation_id="training_history_recent",
        tags=TAGS,
        summary="A user's latest sessions",
        parameters=[RecentQuery],
        responses=SessionSerializer(many=True),
    )
    def get(self, request: Request, user_id: int) -> Response:
        rows = reading.sessions_of(request.user, user_id)
        limit = RecentQuery.read(request.query_params)["limit"]
        return Response(SessionSerializer(rows[:limit], many=True).data)


class SessionView(APIView):
    @extend_schema(
        operation_id="training_history_session",
        tags=TAGS,
        summary="One session by its session id",
        parameters=[OpenApiParameter("session_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
        responses=SessionSerializer,
    )
    def get(self, request: Request, session_id: str) -> Response:
        return Response(SessionSerializer(self._find(request, session_id)).data)

    @extend_schema(
        operation_id="training_history_session_change",
        tags=TAGS,
        summary="Change a session's note, tags and star",
        description="What is left out stays. What was recorded of the run can't be changed.",
        parameters=[OpenApiParameter("session_id", OpenApiTypes.UUID, OpenApiParameter.PATH)],
        request=MarksInput,
        responses=SessionSerializer,
    )
    def patch(self, request: Request, session_id: str) -> Response:
        found = self._find(request, session_id)
        return Response(SessionSerializer(notes.change(found, **MarksInput.read(request.data))).data)

    def _find(self, request: Request, session_id: str) -> Session:
        return get_visible(reading.sessions(request.user), request.user, "user", session_id=session_id)

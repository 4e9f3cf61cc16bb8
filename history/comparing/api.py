"""Comparisons of runs on the API. Runs of others answer 404."""

from __future__ import annotations

from django.http import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.pages import csv_response
from history.comparing import comparison, curves, runs
from history.comparing.serializers import (
    ComparedCurvesSerializer,
    CompareQuery,
    ComparisonSerializer,
    CurvesQuery,
    shown,
    shown_curves,
)

TAGS = ["history"]


class CompareView(APIView):
    @extend_schema(
        operation_id="training_history_compare",
        tags=TAGS,
        summary="Runs side by side: what differs, and what they came to",
        description="What is the same everywhere is only counted. Of different recipes, what all of them have.",
        parameters=[CompareQuery],
        responses=ComparisonSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = CompareQuery.read(request.query_params)
        return Response(shown(comparison.compare(runs.find(request.user, runs.read_keys([asked["runs"]])))))


class CurvesView(APIView):
    @extend_schema(
        operation_id="training_history_compare_curves",
        tags=TAGS,
        summary="One metric of many runs over a shared axis, thinned",
        parameters=[CurvesQuery],
        responses=ComparedCurvesSerializer,
    )
    def get(self, request: Request) -> HttpResponseBase:
        asked = CurvesQuery.read(request.query_params)
        chosen = runs.find(request.user, runs.read_keys([asked["runs"]]))
        found = curves.read(chosen, asked["metric"], asked["x"], asked["max_points"])
        if asked["format"] == "csv":
            return csv_response(request._request, "curves", curves.COLUMNS, curves.table(found))
        return Response(shown_curves(asked["metric"], asked["x"], found))

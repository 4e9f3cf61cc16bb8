"""The trends on the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from history.find_api import TAGS, wanted_of
from history.find_serializers import FilterFields
from history.trends import BY, PERIODS, Trends, trends


class TrendsQuery(FilterFields):
    period = serializers.ChoiceField(choices=PERIODS, required=False, default="week")
    by = serializers.ChoiceField(choices=BY, required=False, default="recipe")


class HistoryPointSerializer(serializers.Serializer):
    start = serializers.DateField(help_text="The first day of the period.")
    sessions = serializers.IntegerField()
    failed = serializers.IntegerField()
    seconds = serializers.FloatField()
    cost = serializers.FloatField(allow_null=True)
    quality = serializers.FloatField(allow_null=True, help_text="The mean; null while no session has one.")
    estimated = serializers.IntegerField(help_text="Completed sessions whose time had been estimated.")
    expected_seconds = serializers.FloatField(allow_null=True)
    took_seconds = serializers.FloatField(allow_null=True)
    took_of_expected = serializers.FloatField(allow_null=True)


class HistoryGroupPointSerializer(serializers.Serializer):
    start = serializers.DateField()
    sessions = serializers.IntegerField()
    quality = serializers.FloatField(allow_null=True)
    value = serializers.FloatField(allow_null=True, help_text="The mean of the headline metric.")


class HistoryGroupSerializer(serializers.Serializer):
    key = serializers.CharField(help_text="A recipe's name, or the id of a subject or model.")
    name = serializers.CharField()
    metric = serializers.CharField(allow_blank=True)
    points = HistoryGroupPointSerializer(many=True)


class GenreSerializer(serializers.Serializer):
    name = serializers.CharField()
    sessions = serializers.IntegerField()
    examples = serializers.IntegerField()


class GeneratorSerializer(serializers.Serializer):
    name = serializers.CharField()
    sessions = serializers.IntegerField()
    wins = serializers.IntegerField()
    quality = serializers.FloatField(allow_null=True)


class HistoryTrendsSerializer(serializers.Serializer):
    period = serializers.CharField()
    by = serializers.CharField()
    currency = serializers.CharField(allow_blank=True)
    points = HistoryPointSerializer(many=True)
    groups = HistoryGroupSerializer(many=True)
    genres = GenreSerializer(many=True)
    generators = GeneratorSerializer(many=True)
    partial = serializers.BooleanField(help_text="Only the newest 10,000 sessions that fit, or fewer, are added up.")
    groups_since = serializers.DateField(
        allow_null=True, help_text="Groups are of the sessions since this day; null: of all."
    )


class TrendsView(APIView):
    @extend_schema(
        operation_id="training_history_trends",
        tags=TAGS,
        summary="How a user's sessions develop over time",
        description="Genres and generating models are those of all sessions of these days, whatever else is filtered.",
        parameters=[TrendsQuery],
        responses=HistoryTrendsSerializer,
    )
    def get(self, request: Request, user_id: int) -> Response:
        asked = TrendsQuery.read(request.query_params)
        wanted = wanted_of(request, user_id, asked)
        return Response(_told(trends(request.user, wanted, period=asked["period"], by=asked["by"])))


def _told(found: Trends) -> dict[str, Any]:
    groups = [
        {
            "key": group.key,
            "name": group.name,
            "metric": group.metric,
            "points": [{"start": start, **point} for start, point in group.points.items()],
        }
        for group in found.groups
    ]
    return dict(HistoryTrendsSerializer({**vars(found), "groups": groups}).data)

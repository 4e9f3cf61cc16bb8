"""Figures of models on the API."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.serializers import FiniteFloatField, IdField, Input, TextField
from performance.models import MetricRecord
from performance.recording import record
from performance.trends import trend
from registry.access import get_model, get_version

TAGS = ["performance"]


class FigureInput(Input):
    version = IdField(help_text="The version that the figure is about.")
    name = TextField(max_length=100, help_text="Such as production/accuracy.")
    value = FiniteFloatField()
    recorded_at = serializers.DateTimeField(required=False, allow_null=True, default=None, help_text="Empty: now.")


class TrendQuery(Input):
    model = IdField()
    name = TextField(max_length=100)
    since = serializers.DateTimeField(required=False, allow_null=True, default=None)
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)

    source = serializers.ChoiceField(
        choices=MetricRecord.Source.choices, required=False, default="", help_text="Empty: all of them."
    )
    group = TextField(
        max_length=100, required=False, default="", help_text="Of logged predictions: those of one group alone."
    )
    bucket = serializers.ChoiceField(
        choices=MetricRecord.Bucket.choices, required=False, default="day",
        help_text="Of logged predictions: by the hour, for a month, or by the day.",
    )  # fmt: skip
    estimated = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Whether to give what was reckoned without the truth."
    )


class FigureSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    version = serializers.IntegerField(source="version_id")

    class Meta:
        model = MetricRecord
        fields = ["id", "model", "version", "name", "value", "source", "recorded_at"]
        read_only_fields = fields


class TrendPointSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="version_id")
    version_number = serializers.IntegerField(source="version.number")

    class Meta:
        model = MetricRecord
        fields = [
            "value", "recorded_at", "since", "count", "source", "group", "bucket", "estimated", "version",
            "version_number",
        ]  # fmt: skip


class TrendSerializer(serializers.Serializer):
    model = serializers.IntegerField()
    name = serializers.CharField()
    points = TrendPointSerializer(many=True, help_text="Oldest first; the newest thousand.")
    total_points = serializers.IntegerField()


class RecordView(APIView):
    @extend_schema(
        operation_id="performance_metrics_record",
        tags=TAGS,
        summary="Record a figure of a version",
        request=FigureInput,
        responses={201: FigureSerializer},
    )
    def post(self, request: Request) -> Response:
        given = FigureInput.read(request.data)
        version = get_version(request.user, given["version"])
        made = record(version, given["name"], given["value"], given["recorded_at"])
        return Response(FigureSerializer(made).data, status=201)


class TrendView(APIView):
    @extend_schema(
        operation_id="performance_metrics_trend",
        tags=TAGS,
        summary="A figure of a model over time",
        description="From evaluations, from programs, and under names that begin with `use/` from logged predictions: "
        "these are of the period from `since` to `recorded_at`, and rest on `count` predictions.",
        parameters=[TrendQuery],
        responses=TrendSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = TrendQuery.read(request.query_params)
        model = get_model(request.user, asked["model"])
        narrowed = {name: asked[name] for name in ("source", "group", "bucket", "estimated")}
        found = trend(model, asked["name"], asked["since"], asked["until"], **narrowed)
        points = TrendPointSerializer(found.records, many=True).data
        return Response({"model": model.pk, "name": found.name, "points": points, "total_points": found.total})

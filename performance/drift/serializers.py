"""Drift on the API, as it is asked for and shown."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.serializers import FiniteFloatField, IdField, Input, MomentField, WholeField
from performance.drift import streams
from performance.drift.monitors import RANGES
from performance.drift.verbs import RECENT
from performance.drift.windows import SAMPLE
from performance.models import DriftCheck, DriftMonitor, DriftStream

ABOUT = DriftCheck.Subject.choices
FOLLOWED = 10


class CheckInput(Input):
    model = IdField()
    version = IdField(
        required=False, allow_null=True, default=None,
        help_text="Empty: inputs of all versions, answers and errors of the one in use.",
    )  # fmt: skip
    about = serializers.ChoiceField(ABOUT)
    reference = serializers.ChoiceField(
        ["training", "earlier"], required=False, allow_null=True, default=None,
        help_text="`training`: what the version learned from, of inputs alone. `earlier`: its first predictions, or "
        "those of the time that is named. Empty: training data where they can be read.",
    )  # fmt: skip
    reference_from = MomentField(required=False, allow_null=True, default=None)
    reference_until = MomentField(required=False, allow_null=True, default=None)
    recent = WholeField(
        min_value=1, max_value=SAMPLE, required=False, default=RECENT, help_text="So many of the newest are looked at."
    )
    recent_hours = WholeField(
        min_value=1, max_value=24 * 365, required=False, allow_null=True, default=None,
        help_text="Instead: all of the last hours, or a sample of them.",
    )  # fmt: skip
    wait = serializers.BooleanField(
        required=False, default=False, help_text="Wait for the verdict, some seconds at most."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        since, until = given["reference_from"], given["reference_until"]
        if (since is None) != (until is None):
            name = "reference_until" if until is None else "reference_from"
            raise serializers.ValidationError({name: ["Name both ends of the time, or none."]})
        if since is not None and since >= until:
            raise serializers.ValidationError({"reference_until": ["Must be later than reference_from."]})
        if since is not None and given["reference"] == "training":
            raise serializers.ValidationError({"reference": ["A time is one of logged predictions: earlier."]})
        return given


class MonitorInput(Input):
    """What is not named stays as it is, or has its default."""

    enabled = serializers.BooleanField(required=False)
    about = serializers.ListField(child=serializers.ChoiceField(ABOUT), required=False, max_length=3)
    reference = serializers.ChoiceField(DriftMonitor.Reference.choices, required=False)
    window = WholeField(min_value=RANGES["window"][0], max_value=RANGES["window"][1], required=False)
    alpha = FiniteFloatField(required=False, help_text="Of all looks together, however many there will be.")
    every_hours = WholeField(required=False, allow_null=True)
    every_predictions = WholeField(required=False, allow_null=True)
    streams = serializers.BooleanField(required=False)


class StreamSerializer(serializers.ModelSerializer):
    """How far the outcomes or the scores of a version were followed."""

    version = serializers.IntegerField(source="version_id")
    about = serializers.CharField()
    count = serializers.IntegerField(help_text="All that were taken so far; one is taken when it is half a minute old.")

    class Meta:
        model = DriftStream
        fields = ["version", "about", "count", "taken_at", "changes", "changed_at"]
        read_only_fields = fields


class MonitorSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    about = serializers.ListField(child=serializers.CharField())
    followed = serializers.SerializerMethodField(help_text="The newest versions first, ten rows at most.")

    class Meta:
        model = DriftMonitor
        fields = [
            "model", "enabled", "about", "reference", "window", "alpha", "every_hours", "every_predictions", "streams",
            "looks", "next_at", "followed",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(StreamSerializer(many=True))
    def get_followed(self, monitor: DriftMonitor) -> list[dict[str, Any]]:
        return StreamSerializer(streams.of_model(monitor.model)[:FOLLOWED], many=True).data


class DriftCheckSerializer(serializers.ModelSerializer):
    """A check without its findings."""

    model = serializers.IntegerField(source="model_id")
    version = serializers.IntegerField(source="version_id", allow_null=True, help_text="Null: inputs of all versions.")
    dataset_version = serializers.IntegerField(
        source="reference_data_id", allow_null=True, help_text="The training data that it was compared with."
    )
    status = serializers.CharField()
    moved = serializers.BooleanField(allow_null=True, help_text="Null until it is known, or when too little is.")
    by = serializers.SerializerMethodField(help_text="Who asked for it; empty: the hub itself.")

    class Meta:
        model = DriftCheck
        fields = [
            "id", "model", "version", "about", "status", "moved", "message", "hint", "dataset_version",
            "reference_from", "reference_until", "recent_from", "recent_until", "reference_count", "recent_count",
            "alpha", "evidence", "by", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_by(self, row: DriftCheck) -> str:
        return row.asked_by.get_username() if row.asked_by else ""


class FindingSerializer(serializers.Serializer):
    column = serializers.CharField()
    kind = serializers.CharField(help_text="number, category, vector, missing (its share), share (of rows, as wrong).")
    test = serializers.CharField()
    statistic = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True)
    corrected = serializers.FloatField(allow_null=True, help_text="The p-value, all tests taken into account (Holm).")
    distance = serializers.FloatField(allow_null=True)
    distance_name = serializers.CharField()
    threshold = serializers.FloatField(help_text="From which distance on it matters.")
    psi = serializers.FloatField(allow_null=True)
    moved = serializers.BooleanField()
    reference_count = serializers.IntegerField()
    recent_count = serializers.IntegerField()
    picture = serializers.DictField(help_text="Labels, and the shares of both sides.")


class CheckDetailSerializer(DriftCheckSerializer):
    findings = FindingSerializer(many=True, help_text="What moved first, then by distance.")

    class Meta(DriftCheckSerializer.Meta):
        fields = [*DriftCheckSerializer.Meta.fields, "findings"]
        read_only_fields = fields

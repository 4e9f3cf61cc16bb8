"""Models and versions as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.numbers import finite
from common.serializers import Input
from engine.rowfiles import MAX_ROWS
from registry.logged.rows import row_ids
from registry.merging import merge_of
from registry.models import Merge, Model, ModelVersion
from registry.prediction import MAX_INPUTS

CELL = str | int | float | bool | None
MAX_TEXT = 8 * 1024 * 1024  # an image in base64; the body as a whole is limited too


class ModelSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username")
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    versions = serializers.IntegerField(source="version_count", help_text="How many versions it has.")
    latest_version = serializers.IntegerField(
        source="latest_id", allow_null=True, help_text="The newest ready version's id."
    )

    class Meta:
        model = Model
        fields = ["id", "name", "recipe", "subject", "owner", "versions", "latest_version", "created_at"]
        read_only_fields = fields


class FileSerializer(serializers.Serializer):
    name = serializers.CharField()
    sha256 = serializers.CharField()
    bytes = serializers.IntegerField()


class MergeSerializer(serializers.ModelSerializer):
    adapter = serializers.IntegerField(source="adapter_id", help_text="The version that is joined with its base.")
    version = serializers.IntegerField(source="version_id", help_text="The whole version that it makes.")
    by = serializers.CharField(source="created_by.username", help_text="Who asked for it.")

    class Meta:
        model = Merge
        fields = ["adapter", "version", "status", "message", "hint", "by", "created_at", "started_at", "finished_at"]
        read_only_fields = fields


class VersionSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    model_name = serializers.CharField(source="model.name")
    recipe = serializers.CharField(source="model.recipe")
    files = FileSerializer(source="artifact", many=True)
    dataset_version = serializers.IntegerField(source="dataset_version_id", allow_null=True)
    base_version = serializers.IntegerField(source="base_version_id", allow_null=True)
    job = serializers.IntegerField(source="source_job_id", allow_null=True)
    metrics = serializers.DictField(help_text="Name → finite number, or null.")
    config = serializers.DictField()
    code = serializers.DictField()
    environment = serializers.DictField()
    standing = serializers.CharField(
        help_text="What it is good for: its status, or of a ready one `damaged` or `archived`.", read_only=True
    )
    merge = serializers.SerializerMethodField(help_text="Which this version came from, or went into; else null.")

    class Meta:
        model = ModelVersion
        fields = [
            "id", "model", "model_name", "number", "recipe", "status", "metrics", "config", "seed", "files",
            "byte_count", "dataset_version", "base_version", "job", "code", "environment", "merge",
            "created_at", "standing", "archived_at", "damaged_at", "damage",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(MergeSerializer(allow_null=True))
    def get_merge(self, version: ModelVersion) -> dict[str, Any] | None:
        merge = merge_of(version)
        return MergeSerializer(merge).data if merge else None

    def to_representation(self, instance: ModelVersion) -> dict[str, Any]:
        return finite(super().to_representation(instance))


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "maxLength": MAX_TEXT},
            {"type": "array", "maxItems": MAX_ROWS, "items": {"type": "object", "additionalProperties": {}}},
        ]
    }
)
class GivenField(serializers.Field):
    """A text, or rows of a table."""

    def to_internal_value(self, data: Any) -> str | list[dict[str, Any]]:
        if isinstance(data, str):
            if len(data) > MAX_TEXT:
                raise serializers.ValidationError(f"Send at most {MAX_TEXT:,} characters.")
            return data
        if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
            raise serializers.ValidationError("Send a text, or rows as a list of objects.")
        if len(data) > MAX_ROWS:
            raise serializers.ValidationError(f"Send at most {MAX_ROWS:,} rows.")
        if not all(isinstance(value, CELL) for row in data for value in row.values()):
            raise serializers.ValidationError("Values of a row are texts, numbers, true, false or null.")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class VersionsQuery(Input):
    show = serializers.ChoiceField(
        choices=[("", ""), ("all", "all")],
        required=False,
        default="",
        help_text="'all': archived and deleted ones, too.",
    )


class PredictInput(Input):
    inputs = serializers.ListField(
        child=GivenField(),
        min_length=1,
        max_length=MAX_INPUTS,
        help_text="Texts; for a model of pictures, recordings or videos its files in base64; for one of tables rows "
        "([{column: value}, …]), or CSV or JSON as text; a forecast without any ([]) continues the end of "
        "the training data.",
    )
    parameters = serializers.DictField(required=False)


class PredictFilesInput(Input):
    files = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True), min_length=1, max_length=MAX_INPUTS
    )
    parameters = serializers.JSONField(required=False, help_text="As JSON.")


class PredictionSerializer(serializers.Serializer):
    outputs = serializers.ListField(child=serializers.DictField(), help_text="One for each input, in order.")
    version = serializers.IntegerField(source="version.pk", help_text="The version that answered.")
    latency_ms = serializers.FloatField()
    predictions = serializers.ListField(
        child=serializers.UUIDField(), help_text="An id for each output: send feedback and the truth by it."
    )
    row_predictions = serializers.SerializerMethodField(
        help_text="For each output the ids of its rows, where it is a table: each row is a prediction of its own, and "
        "the first one has the id of its output. Empty lists for other outputs."
    )
    rows_not_logged = serializers.SerializerMethodField(
        help_text="Rows of tables that have no id: the first 1,000 of a request do."
    )

    @extend_schema_field(serializers.ListField(child=serializers.ListField(child=serializers.UUIDField())))
    def get_row_predictions(self, answer: Any) -> list[list[str]]:
        return [[str(pk) for pk in part] for part in row_ids(answer.predictions, answer.outputs)[0]]

    @extend_schema_field(serializers.IntegerField())
    def get_rows_not_logged(self, answer: Any) -> int:
        return row_ids(answer.predictions, answer.outputs)[1]


class VersionReportSerializer(serializers.Serializer):
    blocks = serializers.ListField(
        child=serializers.DictField(),
        help_text="In order; `kind` is figures, table, matrix, bars, lines, texts or pictures, see engine/report.py.",
    )
    problem = serializers.CharField(help_text="Why there are none although there is a report; else empty.")

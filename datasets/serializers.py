"""Datasets as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.numbers import BIGINT_MAX
from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from datasets.freezing.splits import CONTENT, KEY, MAX_KEY, RULES
from datasets.intake import pace
from datasets.models import Dataset, DatasetVersion, Import, Modality, Refusal
from datasets.sources import origins

MAX_DESCRIPTION = 10_000


class DatasetSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username")
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    subject_name = serializers.CharField(source="subject.name", default=None, allow_null=True)

    class Meta:
        model = Dataset
        fields = [
            "id", "name", "description", "modality", "status", "item_count", "byte_count", "subject", "subject_name",
            "owner", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class LabelSerializer(serializers.Serializer):
    label = serializers.CharField(help_text="Empty for items without a folder.")
    count = serializers.IntegerField()


class DatasetDetailSerializer(DatasetSerializer):
    labels = LabelSerializer(many=True, help_text="Classes by name, at most 1,000.")

    class Meta(DatasetSerializer.Meta):
        fields = [*DatasetSerializer.Meta.fields, "labels"]
        read_only_fields = fields


class NewDatasetInput(Input):
    name = TextField()
    modality = serializers.ChoiceField(choices=Modality.choices)
    description = TextField(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)
    subject = IdField(required=False, allow_null=True, help_text="A subject's id.")


class DatasetChangeInput(Input):
    name = TextField(required=False)
    description = TextField(max_length=MAX_DESCRIPTION, required=False, allow_blank=True)
    subject = IdField(required=False, allow_null=True, help_text="A subject's id; null for none.")


class DeletedSerializer(serializers.Serializer):
    bytes_freed = serializers.IntegerField(help_text="Less than the dataset's size where other data needs the files.")


class FilesInput(Input):
    files = serializers.ListField(
        child=serializers.FileField(),
        help_text="Files or zip, tar, tar.gz archives. A file's relative path, given as its name, makes the label.",
    )
    paths = serializers.ListField(
        child=serializers.CharField(allow_blank=True),
        required=False,
        help_text="Relative paths, one for each file, for senders that can't put them into the names. "
        "Repeat the field, or send one JSON array.",
    )
    options = serializers.CharField(
        required=False, help_text='How to read them where guessing was wrong: JSON such as {"delimiter": ";"}.'
    )


class ImportSerializer(serializers.ModelSerializer):
    dataset = serializers.IntegerField(source="dataset_id")
    percent = serializers.IntegerField(help_text="How much has been looked at, 0–100.")
    origin = serializers.SerializerMethodField(help_text="Where the files come from; empty for uploads.")
    phase = serializers.SerializerMethodField(help_text="waiting, fetching, importing or ended.")
    bytes_per_second = serializers.SerializerMethodField(help_text="Of this phase; null while it can't be told.")
    seconds_left = serializers.SerializerMethodField(help_text="Of this phase; null while it can't be told.")

    class Meta:
        model = Import
        fields = [
            "id", "dataset", "status", "percent", "total", "done", "accepted", "set_aside", "message", "hint",
            "origin", "options", "phase", "bytes_total", "bytes_done", "bytes_per_second", "seconds_left",
            "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_origin(self, row: Import) -> str:
        return origins.shown(row.origin)

    def get_phase(self, row: Import) -> str:
        return pace.pace(row).phase

    def get_bytes_per_second(self, row: Import) -> float | None:
        return pace.pace(row).rate

    def get_seconds_left(self, row: Import) -> float | None:
        return pace.pace(row).left


class RefusalSerializer(serializers.ModelSerializer):
    class Meta:
        model = Refusal
        fields = ["id", "name", "code", "reason"]
        read_only_fields = fields


class RefusalPageSerializer(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = RefusalSerializer(many=True)


class ImportDetailSerializer(ImportSerializer):
    refusals = RefusalPageSerializer(help_text="Files that were set aside, and why; a page of them.")

    class Meta(ImportSerializer.Meta):
        fields = [*ImportSerializer.Meta.fields, "refusals"]
        read_only_fields = fields


class CountsSerializer(serializers.Serializer):
    train = serializers.IntegerField()
    validation = serializers.IntegerField()
    test = serializers.IntegerField()


class SplitKeyField(TextField):
    """The metadata that give an item's part."""

    def __init__(self, **named: Any) -> None:
        words = "Where they are split as given: the key of the metadata that names an item's part; 'split' if left out."
        super().__init__(**{"max_length": MAX_KEY, "help_text": words} | named)


class SplitInput(Input):
    validation_fraction = FiniteFloatField(default=0.1, min_value=0, max_value=1)
    test_fraction = FiniteFloatField(default=0.0, min_value=0, max_value=1)
    seed = WholeField(default=0, min_value=-BIGINT_MAX)
    split_by = serializers.ChoiceField(
        choices=RULES,
        default=CONTENT,
        help_text="Whether groups stay together, classes are in each part, time rules, or metadata give the parts.",
    )
    split_key = SplitKeyField(required=False, default=KEY)


class SplitSerializer(SplitInput):
    counts = CountsSerializer()
    unsaid = serializers.IntegerField(help_text="As given: items that name no part; they count as given for training.")
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="Items that did not pass the gates, by reason."
    )


class DatasetVersionSerializer(serializers.ModelSerializer):
    dataset = serializers.IntegerField(source="dataset_id")
    counts = CountsSerializer()
    classes = serializers.ListField(child=serializers.CharField())
    parent = serializers.IntegerField(source="parent_id", allow_null=True, help_text="The version before it.")
    split_by = serializers.SerializerMethodField()
    split_key = serializers.CharField(
        source="split_rule.key",
        default=None,
        allow_null=True,
        help_text="Of a split as given: the key of the metadata.",
    )
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="Items that were not taken in, by reason."
    )

    class Meta:
        model = DatasetVersion
        fields = [
            "id", "dataset", "number", "content_hash", "counts", "classes", "byte_count", "seed",
            "validation_fraction", "test_fraction", "split_by", "split_key", "parent", "left_out", "created_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ChoiceField(choices=RULES))
    def get_split_by(self, version: DatasetVersion) -> str:
        return version.split_rule.get("by", CONTENT)

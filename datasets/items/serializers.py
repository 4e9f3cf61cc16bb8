"""Items and edits as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.serializers import IdField, Input, TextField, WholeField
from datasets.items.browse import SORTS
from datasets.items.edits import FIELDS
from datasets.models import Edit, Finding, Item

MAX_IDS = 100_000
_SHOWN = [
    "id", "name", "label", "caption", "group", "subject", "media_type", "bytes", "width", "height", "characters",
    "facts", "content", "metadata", "quality", "review", "governance", "aside", "sha256", "recorded_at", "created_at",
]  # fmt: skip


class ItemSerializer(serializers.ModelSerializer):
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    facts = serializers.JSONField(source="measured", help_text="What was measured; a table's head is in its item.")
    content = serializers.JSONField(
        source="shown", allow_null=True, help_text="Of a row; null in lists when it is longer than 20,000 bytes."
    )

    class Meta:
        model = Item
        fields = _SHOWN
        read_only_fields = fields


class ItemPageSerializer(serializers.Serializer):
    count = serializers.IntegerField(help_text="At most 10,000.")
    count_is_exact = serializers.BooleanField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = ItemSerializer(many=True)


class FindingSerializer(serializers.ModelSerializer):
    dismissed = serializers.SerializerMethodField()

    class Meta:
        model = Finding
        fields = ["id", "code", "points", "reason", "row", "dismissed"]
        read_only_fields = fields

    def get_dismissed(self, finding: Finding) -> bool:
        return finding.dismissed_at is not None


class ItemDetailSerializer(serializers.ModelSerializer):
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    findings = serializers.SerializerMethodField(help_text="The first 200.")

    class Meta:
        model = Item
        fields = [*_SHOWN, "origin", "generated", "findings"]
        read_only_fields = fields

    def get_findings(self, item: Item) -> list[dict[str, Any]]:
        return FindingSerializer(item.findings.order_by("-points", "id")[:200], many=True).data


class FiltersInput(Input):
    """The filters of the list."""

    search = TextField(required=False, allow_blank=True, help_text="In names and in the texts of rows.")
    label = TextField(required=False, allow_blank=True, help_text="One class; empty for items without one.")
    quality_from = WholeField(required=False, max_value=100)
    quality_to = WholeField(required=False, max_value=100)
    review = TextField(required=False, allow_blank=True, help_text="none, approved, change or rejected.")
    governance = TextField(required=False, allow_blank=True, help_text="unchecked, allowed or refused.")
    aside = TextField(required=False, allow_blank=True, help_text="no, yes, or the code of a reason.")
    group = TextField(required=False, allow_blank=True)
    finding = TextField(required=False, allow_blank=True, help_text="The code of something that a check found.")
    version = WholeField(required=False, help_text="The number of a version: items that it holds.")
    split = TextField(required=False, allow_blank=True, help_text="train, validation or test, of that version.")


class ItemsInput(FiltersInput):
    """The query of the list."""

    sort = serializers.ChoiceField(choices=list(SORTS), default="id")
    after = TextField(default="", allow_blank=True, help_text="From `next`.")
    before = TextField(default="", allow_blank=True, help_text="From `previous`.")
    page_size = WholeField(default=50, min_value=1, help_text="At most 200.")


class ItemChangeInput(Input):
    label = TextField(required=False, allow_blank=True)
    caption = TextField(required=False, allow_blank=True, max_length=20_000)
    group = TextField(required=False, allow_blank=True)
    subject = IdField(required=False, allow_null=True, help_text="A subject's id; null for none.")
    aside = TextField(required=False, allow_blank=True, max_length=40, help_text="Why; empty takes it back.")
    metadata = serializers.DictField(required=False, help_text="Keys are set; a key with null is removed.")
    content = serializers.DictField(required=False, help_text="Of a row: text, prompt and completion, or messages.")


class ItemsEditInput(Input):
    ids = serializers.ListField(child=IdField(), required=False, min_length=1, max_length=MAX_IDS)
    filter = serializers.DictField(required=False, help_text="As the query of the list; {} for all items.")
    field = serializers.ChoiceField(choices=FIELDS)
    value = serializers.JSONField(allow_null=True, help_text="A text, a subject's id or null, or an object.")


class EditSerializer(serializers.ModelSerializer):
    id = serializers.IntegerField(allow_null=True)
    by = serializers.CharField(source="by.username")
    undone_by = serializers.CharField(source="undone_by.username", default=None, allow_null=True)

    class Meta:
        model = Edit
        fields = ["id", "field", "value", "count", "by", "at", "undone_at", "undone_by"]
        read_only_fields = fields


class KeptSerializer(serializers.Serializer):
    item = serializers.IntegerField()
    name = serializers.CharField()
    reason = serializers.CharField()


class UndoneSerializer(serializers.Serializer):
    edit = EditSerializer()
    restored = serializers.IntegerField()
    left = serializers.IntegerField(help_text="Left as they are.")
    kept = KeptSerializer(many=True, help_text="The first 20 of those.")


class SeriesInput(Input):
    column = TextField(default="", allow_blank=True, help_text="A column of numbers; empty for the first.")


class SeriesSerializer(serializers.Serializer):
    column = serializers.CharField()
    x = serializers.ListField(child=serializers.FloatField(), help_text="Seconds since 1970.")
    y = serializers.ListField(child=serializers.FloatField(allow_null=True))

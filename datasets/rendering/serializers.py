"""Templates, previews and renderings as the API shows and takes them. Rows of a sheet are numbered from 0."""

from __future__ import annotations

from rest_framework import serializers

from common.serializers import IdField, Input, TextField, WholeField
from datasets.models import RenderError, Rendering, Template
from datasets.rendering.renderings import duplicates
from datasets.rendering.sheets import MAX_CHOSEN
from datasets.rendering.templates import SAMPLES
from datasets.rendering.templating import MAX_TEMPLATE

SYNTAX = (
    'Text with {{ column }}, {{ row["Column with spaces"] }}, filters such as {{ column|round(1) }} and '
    "{% if column > 3 %} … {% endif %}."
)


class SheetTemplateSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username")

    class Meta:
        model = Template
        fields = ["id", "name", "system", "prompt", "completion", "chat", "owner", "created_at", "updated_at"]
        read_only_fields = fields


def _part(**options: object) -> TextField:
    return TextField(max_length=MAX_TEMPLATE, trim_whitespace=False, **options)


class PartsInput(Input):
    system = _part(required=False, allow_blank=True, help_text="May be empty.")
    prompt = _part(help_text=SYNTAX)
    completion = _part(help_text="What is to be learnt, in the same syntax.")
    chat = serializers.BooleanField(required=False, help_text="Pairs become chat messages.")


class SheetTemplateInput(PartsInput):
    name = TextField()


class SheetTemplateChangeInput(Input):
    name = TextField(required=False)
    system = _part(required=False, allow_blank=True)
    prompt = _part(required=False)
    completion = _part(required=False)
    chat = serializers.BooleanField(required=False)


class TemplatePreviewInput(PartsInput):
    dataset = IdField(help_text="A dataset of tables.")
    rows = serializers.ListField(
        child=WholeField(), required=False, max_length=MAX_CHOSEN, help_text="Numbers of rows, from 0."
    )
    sample = serializers.ChoiceField(choices=SAMPLES, required=False, default="first", help_text="Without `rows`.")
    count = WholeField(required=False, default=5, min_value=1, max_value=MAX_CHOSEN)
    seed = WholeField(required=False, default=0, help_text="Of the random rows.")
    label_column = TextField(required=False, allow_blank=True, default="")


class TriedSerializer(serializers.Serializer):
    row = serializers.IntegerField(source="row.number", help_text="From 0.")
    content = serializers.DictField(allow_null=True, help_text="The pair or chat; null when the row makes none.")
    label = serializers.CharField()
    reason = serializers.CharField(help_text="Why the row makes none.")


class TemplatePreviewSerializer(serializers.Serializer):
    columns = serializers.ListField(child=serializers.CharField())
    total_rows = serializers.IntegerField()
    rows = TriedSerializer(many=True)


class RenderInput(Input):
    template = IdField()
    name = TextField(required=False, allow_blank=True, default="", help_text="Of the new dataset; empty: made up.")
    target = IdField(required=False, allow_null=True, help_text="A dataset of texts that gets the pairs instead.")
    label_column = TextField(required=False, allow_blank=True, default="", help_text="Empty: pairs have no label.")


class RenderingSerializer(serializers.ModelSerializer):
    dataset = serializers.IntegerField(source="sheet_id", help_text="The sheet.")
    template = serializers.IntegerField(source="template_id")
    target = serializers.IntegerField(source="target_id", help_text="The training sheet: a dataset of texts.")
    duplicates = serializers.SerializerMethodField(help_text="Rows whose pair was there already; part of `failed`.")

    class Meta:
        model = Rendering
        fields = [
            "id", "dataset", "template", "target", "status", "total", "done", "made", "failed", "duplicates", "message",
            "hint", "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_duplicates(self, rendering: Rendering) -> int:
        return duplicates(rendering)


class RenderErrorSerializer(serializers.ModelSerializer):
    class Meta:
        model = RenderError
        fields = ["row", "reason"]
        read_only_fields = fields

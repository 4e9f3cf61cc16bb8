"""Quality as the API shows and takes it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.serializers import IdField, Input, TextField
from datasets.models import Finding, QualityRun
from datasets.quality.acts import BEST, KEEPS

SET_ASIDE, TAKE_ROWS_BACK, DISMISS, RESTORE = ACTIONS = ("set_aside", "take_rows_back", "dismiss", "restore")


class QualityRunSerializer(serializers.ModelSerializer):
    dataset = serializers.IntegerField(source="dataset_id")
    created_by = serializers.CharField(
        source="created_by.username", default=None, allow_null=True, help_text="Null: by itself, after an import."
    )
    summary = serializers.JSONField(help_text="What was found of the whole, and how many items were measured anew.")

    class Meta:
        model = QualityRun
        fields = [
            "id", "dataset", "status", "phase", "total", "done", "score", "summary", "message", "hint", "created_by",
            "created_at", "started_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class ReasonSerializer(serializers.Serializer):
    code = serializers.CharField()
    title = serializers.CharField(source="check.title")
    means = serializers.CharField(source="check.means")
    remedy = serializers.CharField(source="check.remedy", help_text="What can be done.")
    items = serializers.IntegerField()
    rows = serializers.IntegerField(help_text="Of tables.")
    points = serializers.FloatField(help_text="What this takes from the dataset's 100.")
    said = serializers.CharField(help_text="What was found of the dataset as a whole; empty for reasons of items.")


class ReportSerializer(serializers.Serializer):
    score = serializers.FloatField(allow_null=True, help_text="0–100; null before the first check.")
    checked_at = serializers.DateTimeField(allow_null=True)
    by_itself = serializers.BooleanField(help_text="Whether it is checked after each import.")
    run = QualityRunSerializer(allow_null=True, help_text="The open run, else the latest.")
    reasons = ReasonSerializer(many=True)
    histogram = serializers.ListField(
        child=serializers.IntegerField(), help_text="Items that are worth 0–9, 10–19, …, 90–100."
    )
    dismissed = serializers.IntegerField(help_text="Findings that people said are no faults.")
    aside = serializers.DictField(child=serializers.IntegerField(), help_text="Items set aside, by code.")
    rows_aside = serializers.DictField(child=serializers.IntegerField(), help_text="Rows of tables set aside, by code.")


class QualityFindingSerializer(serializers.ModelSerializer):
    item = serializers.IntegerField(source="item_id")
    name = serializers.CharField(source="item.name")
    label = serializers.CharField(source="item.label")
    dismissed = serializers.SerializerMethodField()

    class Meta:
        model = Finding
        fields = ["id", "item", "name", "label", "row", "code", "points", "reason", "cluster", "details", "dismissed"]
        read_only_fields = fields

    def get_dismissed(self, finding: Finding) -> bool:
        return finding.dismissed_at is not None


class QualitySettingsInput(Input):
    by_itself = serializers.BooleanField(help_text="Whether it is checked after each import.")


class ActInput(Input):
    action = serializers.ChoiceField(choices=ACTIONS)
    code = TextField(max_length=40, required=False, help_text="All findings of this kind.")
    findings = serializers.ListField(
        child=IdField(), required=False, max_length=10_000, help_text="Single findings, to dismiss or restore."
    )
    keep = serializers.ChoiceField(
        choices=KEEPS, default=BEST, help_text="Which one of each group of duplicates is not set aside."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        single = given["action"] in {DISMISS, RESTORE}
        if "code" not in given and not (single and "findings" in given):
            raise serializers.ValidationError({"code": ["Name what was found."]})
        return given


class ActedSerializer(serializers.Serializer):
    items = serializers.IntegerField(help_text="Items that were set aside.")
    rows = serializers.IntegerField(help_text="Rows of tables that were set aside or taken back.")
    findings = serializers.IntegerField(help_text="Findings that were dismissed or restored.")
    edit = serializers.IntegerField(allow_null=True, help_text="Undo it at datasets/{id}/edits/{edit}/undo.")

"""Alerts and rules as the API reads and shows them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.serializers import FiniteFloatField, IdField, Input, MomentField, TextField, WholeField
from performance.alerts import dealing, rules
from performance.alerts.access import may_deal
from performance.alerts.wording import sentence
from performance.models import Alert, AlertEvent, AlertRule, MetricRecord, Severity


class AlertEventSerializer(serializers.ModelSerializer):
    class Meta:
        model = AlertEvent
        fields = ["kind", "at", "by", "words"]
        read_only_fields = fields


class AlertSerializer(serializers.ModelSerializer):
    rule = serializers.IntegerField(source="rule_id", allow_null=True)
    owner = serializers.IntegerField(source="owner_id", allow_null=True, help_text="Null: a rule of the hub found it.")
    model = serializers.IntegerField(source="model_id", allow_null=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None)
    may_deal = serializers.SerializerMethodField(help_text="Whether you may acknowledge, resolve or put it off.")

    class Meta:
        model = Alert
        fields = [
            "id", "rule", "rule_name", "owner", "kind", "severity", "status", "model", "target", "title", "words",
            "value", "threshold", "evidence", "opened_at", "last_seen_at", "times_seen", "snoozed_until",
            "acknowledged_at", "acknowledged_by", "resolved_at", "resolved_by_hand", "may_deal",
        ]  # fmt: skip
        read_only_fields = fields

    def get_may_deal(self, alert: Alert) -> bool:
        return may_deal(self.context["request"].user, alert)


class AlertDetailSerializer(AlertSerializer):
    events = AlertEventSerializer(many=True)

    class Meta(AlertSerializer.Meta):
        fields = [*AlertSerializer.Meta.fields, "events"]
        read_only_fields = fields


class AlertQuery(Input):
    status = serializers.ChoiceField([*Alert.Status.values, "open"], required=False)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    kind = serializers.ChoiceField(AlertRule.Kind.choices, required=False)
    model = IdField(required=False)
    rule = IdField(required=False)


class AlertNoteInput(Input):
    note = TextField(max_length=dealing.MAX_NOTE, required=False, allow_blank=True, default="")


class SnoozeInput(AlertNoteInput):
    until = MomentField(help_text="Within the next 30 days.")


class AlertRuleSerializer(serializers.ModelSerializer):
    owner = serializers.IntegerField(source="owner_id", allow_null=True, help_text="Null: the hub's.")
    model = serializers.IntegerField(source="model_id", allow_null=True, help_text="Null: all that its owner sees.")
    channels = serializers.SerializerMethodField()
    words = serializers.SerializerMethodField(help_text="What it does.")
    of_hub = serializers.SerializerMethodField(help_text="Whether it was there from the beginning.")

    class Meta:
        model = AlertRule
        fields = [
            "id", "owner", "name", "enabled", "kind", "model", "metric", "source", "group", "comparison", "threshold",
            "clear_threshold", "in_a_row", "minutes", "minimum_count", "cool_down_minutes", "severity", "channels",
            "words", "of_hub", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_channels(self, rule: AlertRule) -> list[int]:
        return [channel.pk for channel in rule.channels.all()]

    def get_words(self, rule: AlertRule) -> str:
        return sentence(rule)

    def get_of_hub(self, rule: AlertRule) -> bool:
        return bool(rule.default)


class AlertRuleChangeInput(Input):
    """What is named is changed; what is watched stays."""

    name = TextField(max_length=100, required=False)
    enabled = serializers.BooleanField(required=False)
    model = IdField(required=False, allow_null=True, help_text="Null: all that you see.")
    metric = TextField(max_length=100, required=False, allow_blank=True, help_text="Of a figure: its name.")
    source = serializers.ChoiceField(MetricRecord.Source.choices, required=False, allow_blank=True)
    group = TextField(max_length=100, required=False, allow_blank=True)
    comparison = serializers.ChoiceField(AlertRule.Comparison.choices, required=False)
    threshold = FiniteFloatField(required=False, allow_null=True, help_text="In the kind's unit: jobs, minutes, %.")
    clear_threshold = FiniteFloatField(required=False, allow_null=True, help_text="Over only on this side of it.")
    in_a_row = WholeField(required=False, min_value=1, max_value=rules.MAX_IN_A_ROW)
    minutes = WholeField(required=False, min_value=1, max_value=rules.MAX_MINUTES)
    minimum_count = WholeField(required=False, max_value=rules.MAX_COUNT)
    cool_down_minutes = WholeField(required=False, max_value=rules.MAX_MINUTES)
    severity = serializers.ChoiceField(Severity.choices, required=False)
    channels = serializers.ListField(child=IdField(), required=False, max_length=rules.MOST_CHANNELS)


class AlertRuleInput(AlertRuleChangeInput):
    """When to open an alert, and whom to tell."""

    name = TextField(max_length=100)
    kind = serializers.ChoiceField(AlertRule.Kind.choices)
    of_hub = serializers.BooleanField(
        required=False, default=False, help_text="A rule of the hub, over all: administrators only."
    )


def kept(values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that are fields of a rule."""
    return {name: value for name, value in values.items() if name != "of_hub"}

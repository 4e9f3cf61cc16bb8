"""Logged predictions, outcomes and policies as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.serializers import FiniteFloatField, IdField, Input, MomentField, TextField, WholeField
from registry.logged.exporting import FORMATS
from registry.logged.outcomes import MAX_ENTRIES
from registry.logged.policies import MAX_DAYS, Keep
from registry.models import LogPolicy, Outcome, Prediction

TRUTH = (
    "The class or the number that was right; of a forecast a list of numbers, null where one is not known; of an "
    "anomaly true or false."
)


class OutcomeInput(Input):
    truth = serializers.JSONField(required=False, allow_null=True, default=None, help_text=TRUTH)
    value = FiniteFloatField(
        required=False, allow_null=True, default=None, help_text="Feedback: 1 or 0, a rating, an amount."
    )
    replace = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Put it in the place of another that was sent before; that is noted.",
    )


class OneOutcomeInput(OutcomeInput):
    prediction = serializers.UUIDField(help_text="The prediction's id.")


class OutcomesInput(Input):
    outcomes = OneOutcomeInput(many=True, min_length=1, max_length=MAX_ENTRIES)


class PredictionsQuery(Input):
    """`from` is no name that Python lets a class have."""

    model = IdField()
    version = IdField(required=False, allow_null=True, default=None, help_text="A version's id.")
    group = TextField(max_length=100, required=False, allow_blank=True, default="")
    to = MomentField(required=False, allow_null=True, default=None, help_text="Before this time.")
    has_outcome = serializers.BooleanField(required=False, allow_null=True, default=None)
    wrong = serializers.BooleanField(required=False, default=False, help_text="Only classes that were not true.")

    def get_fields(self) -> dict[str, serializers.Field]:
        since = MomentField(required=False, allow_null=True, default=None, help_text="At or after this time.")
        return super().get_fields() | {"from": since}

    @classmethod
    def filters(cls, asked: dict[str, Any]) -> dict[str, Any]:
        """What was asked, by the names of `browsing.Wanted`."""
        renamed = {"from": "since", "to": "until"}
        return {renamed.get(name, name): value for name, value in asked.items() if name not in PAGING}


PAGING = {"after", "before", "page_size", "format"}


class PredictionsPageQuery(PredictionsQuery):
    after = serializers.UUIDField(required=False, allow_null=True, default=None, help_text="As `next` of a page said.")
    before = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="As `previous` of a page said."
    )
    page_size = WholeField(min_value=1, max_value=200, required=False, default=50)


class ExportQuery(PredictionsQuery):
    format = serializers.ChoiceField(choices=FORMATS, required=False, default="csv")


class OutcomeSerializer(serializers.ModelSerializer):
    by = serializers.CharField(source="user.username", allow_null=True, default=None)
    off_by = serializers.FloatField(
        source="error", allow_null=True, help_text="Predicted less true; of a forecast by how much, on average."
    )
    correct = serializers.BooleanField(allow_null=True, help_text="Of classes: whether the named one is the true one.")
    truth = serializers.JSONField(allow_null=True)

    class Meta:
        model = Outcome
        fields = ["truth", "correct", "off_by", "value", "at", "by"]
        read_only_fields = fields


class LoggedSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    version = serializers.IntegerField(source="version_id")
    version_number = serializers.IntegerField(source="version.number")
    arm = serializers.CharField(source="arm.name", allow_null=True, default=None, help_text="Of an experiment.")
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    by = serializers.CharField(source="user.username", allow_null=True, default=None, help_text="Who asked.")
    outcome = OutcomeSerializer(allow_null=True, default=None)

    class Meta:
        model = Prediction
        fields = [
            "id", "at", "model", "version", "version_number", "arm", "shadow_of", "group", "subject", "by", "label",
            "score", "latency_ms", "error", "outcome",
        ]  # fmt: skip
        read_only_fields = fields


class WholeLoggedSerializer(LoggedSerializer):
    features = serializers.DictField(help_text="Few values of the input by which drift is told.")
    input = serializers.JSONField(allow_null=True, help_text="Null where the model's policy keeps none.")
    output = serializers.JSONField(allow_null=True)

    class Meta(LoggedSerializer.Meta):
        fields = [*LoggedSerializer.Meta.fields, "input_hash", "features", "input", "output"]
        read_only_fields = fields


class LoggedPageSerializer(serializers.Serializer):
    next = serializers.UUIDField(allow_null=True, help_text="Send it as `after` for the next page; null at the end.")
    previous = serializers.UUIDField(allow_null=True, help_text="Send it as `before` for the page before.")
    partial = serializers.BooleanField(
        help_text="The time was up before the page was full: go on with `next`, there may be more."
    )
    results = LoggedSerializer(many=True)


class ToldSerializer(serializers.Serializer):
    prediction = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["recorded", "unchanged", "replaced", "refused"])
    outcome = OutcomeSerializer(allow_null=True)
    detail = serializers.CharField(source="problem.message", default="", help_text="Why it was refused.")
    hint = serializers.CharField(source="problem.hint", default="")
    code = serializers.CharField(source="problem.code", default="")
    note = serializers.CharField(help_text="What is odd about a truth that was taken: a class never learned.")


class ToldManySerializer(serializers.Serializer):
    refused = serializers.IntegerField(help_text="How many of them were refused; the others stand.")
    results = ToldSerializer(many=True, help_text="One for each outcome that was sent, in order.")


class LogPolicyInput(Input):
    keep = serializers.ChoiceField(choices=Keep.choices, help_text="What is kept of the input.")
    share = FiniteFloatField(min_value=0, max_value=1, help_text="The share of predictions that is put down.")
    days = WholeField(min_value=1, max_value=MAX_DAYS, help_text="For how many days they are kept.")


class LogPolicySerializer(serializers.ModelSerializer):
    class Meta:
        model = LogPolicy
        fields = ["keep", "share", "days"]
        read_only_fields = fields
